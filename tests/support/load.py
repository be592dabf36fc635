"""Work that goes on beside what a test or a picture is about."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def meanwhile(*work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """For the time of the block; whatever it came to is not looked at."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
