"""Tasks of a service: whose they are."""

import asyncio
from contextvars import ContextVar

from webedt.kernel import Background


async def test_a_task_takes_nothing_along_from_the_request_that_starts_it_unless_it_is_carried_for_it() -> None:
    request: ContextVar[str] = ContextVar("request", default="nobody's")
    background = Background()
    seen: dict[str, str] = {}

    async def look(name: str) -> None:
        seen[name] = request.get()

    request.set("somebody's")
    started = background.start("started", look("started"))
    await background.carry("carried", look("carried"))
    await asyncio.wait({started})
    assert seen == {"started": "nobody's", "carried": "somebody's"}
