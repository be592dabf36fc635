"""One replica's real services in this process, on a real database, to be used, crashed, frozen and thawed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import argon2

from tests.support.log_harness import LogDatabase, Logged
from tests.support.pooling import settings_to
from tests.support.waiting import eventually
from webedt.bus.interface import ABus
from webedt.composition import compose_services
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.domain.runs import Accepted
from webedt.fleet.heartbeat import AHeartbeat
from webedt.fleet.identity import Identity
from webedt.fleet.leadership import ALeadership
from webedt.http.stream_registry import AStreams
from webedt.log.interface import AEventWriter
from webedt.log.tails import ATails
from webedt.services.auth import AAuth
from webedt.services.execution import AExecution
from webedt.services.lists import ALists
from webedt.services.runs import ARuns, NewPrompt
from webedt.services.sessions import ASessions
from webedt.telemetry.metrics import Metrics

SHORT = "[[tokens=3 rate=0 size=4 seed=1]]"
ENDLESS = "[[tokens=100000 rate=40 size=4 seed=1]]"
SILENT = "[[tokens=5 rate=0.001 size=4 seed=1]]"


# All that do something by themselves.
WITH_TASKS: list[Any] = [ABus, AHeartbeat, ALeadership, ATails, AEventWriter, AExecution, ALists, AStreams, ADatabase]


class Replica:
    """`settings` are those of `webedt.config.Settings`, such as `lease_seconds` and `max_active_runs`."""

    def __init__(self, database_url: str, name: str = "a", **settings: Any) -> None:
        chosen = {**settings_to(database_url), "lease_seconds": 1.0, "environment": "test", "log_level": "error"}
        # Few connections, as those of a fleet: two replicas a worker have to fit on a server that takes a hundred.
        self.settings = Settings(**{**chosen, "db_pool_max": 8, "container_id": name, **settings})
        self.identity = Identity(uuid4(), name)
        self.metrics = Metrics(name)
        self.provider = compose_services(self.settings, self.identity, self.metrics)
        auth: Any = self.provider.get(AAuth)
        auth._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # nobody logs in here
        self.runs = self.provider.get(ARuns)
        self.sessions = self.provider.get(ASessions)
        self.execution = self.provider.get(AExecution)
        self.heartbeat: Any = self.provider.get(AHeartbeat)
        self.tails = self.provider.get(ATails)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Replica"]:
        await self.provider.initialize()
        try:
            async with asyncio.timeout(15):
                await self.provider.get(ADatabase).wait_until_ready()
                await self.heartbeat.wait_until_valid()
            yield self
        finally:
            await self.provider.reset()

    async def crash(self) -> None:
        """Stop as `kill -9` does: nothing is finished, released or said."""
        if self.heartbeat._link is not None:
            self.heartbeat._link.discard()
        services = [self.provider.get(token) for token in WITH_TASKS]
        await asyncio.gather(*(service._background.stop() for service in services))

    async def freeze_heartbeat(self) -> None:
        """No beat any more, while everything else goes on: as if only the way to the database were cut for a while."""
        await self.heartbeat._background.stop()

    def thaw_heartbeat(self) -> None:
        self.heartbeat._background.start("heartbeat", self.heartbeat._beat_for_ever(self.heartbeat._link))

    async def may_take_over(self) -> None:
        await eventually(lambda: self.heartbeat.may_take_over, "a lease of good beats")

    async def prompt(
        self, log: LogDatabase, text: str = SHORT, session_id: UUID | None = None, **more: Any
    ) -> Accepted:
        blocks = [{"type": "text", "text": text}]
        prompt = {"user_id": log.user_id, "blocks": blocks, "session_id": session_id, **more}
        return await self.runs.accept(NewPrompt(**prompt))


async def until_status(log: LogDatabase, run_id: UUID, *statuses: str, seconds: float = 15.0) -> Any:
    """The run's row, once it has one of these statuses."""

    async def look() -> Any:
        run = await log.run(run_id)
        return run if run["status"] in statuses else None

    return await eventually(look, f"run is {' or '.join(statuses)}", seconds=seconds)


async def until_deltas(log: LogDatabase, session_id: UUID, count: int) -> None:
    """Return when so many deltas of the session are in the log."""

    async def look() -> bool:
        return (await log.types(session_id)).count("text_delta") >= count

    await eventually(look, f"{count} deltas")


def of_run(events: Sequence[Logged], run_id: UUID) -> list[Logged]:
    return [event for event in events if json.loads(event.data)["runId"] == str(run_id)]


def answer_of(events: Sequence[Logged]) -> str:
    """The deltas of one run put together."""
    return "".join(json.loads(event.data)["text"] for event in events if event.type == "text_delta")


def only(events: Sequence[Logged], event_type: str) -> tuple[int, Any]:
    """Id and data of the one event of this type."""
    [event] = [event for event in events if event.type == event_type]
    return event.id, json.loads(event.data)
