"""Periodic work that one replica does for all: a row in `leases` says who.

Invariant: two leaders may overlap (one is paused, its lease runs out, another takes it), so work that must not be done
twice confirms its fencing number under the row's lock inside its own transaction, or is harmless when done twice.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.identity import Identity
from webedt.kernel import AService, Background, BaseService
from webedt.telemetry.metrics import Metrics

MIN_LEASE_SECONDS = 5.0


@dataclass(frozen=True)
class LeaderTask:
    """`work` is called every `interval_seconds` on the leader, with its fencing number, and answers a count."""

    name: str
    interval_seconds: float
    work: Callable[[int], Awaitable[int]]


@dataclass(frozen=True)
class LastRun:
    at: datetime | None
    count: int
    leader: str | None


class ALeadership(AService):
    order: ClassVar[int] = -20

    @abstractmethod
    def add(self, task: LeaderTask) -> None:
        """Begin to compete for the lease of `task`, and to do it when it is ours."""

    @abstractmethod
    async def last_run(self, name: str) -> LastRun: ...


class Leadership(BaseService, ALeadership):
    def __init__(self, identity: Identity, metrics: Metrics, lease_seconds: float) -> None:
        self._identity = identity
        self._metrics = metrics
        self._lease = max(MIN_LEASE_SECONDS, lease_seconds)
        self._fencing: dict[str, int] = {}
        self._held_until: dict[str, float] = {}
        self._background = Background()
        self._sql = load_queries("instances")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._metrics.observe(self._observe)

    async def dispose(self) -> None:
        await self._background.stop()
        for name in [name for name, fencing in self._fencing.items() if fencing]:
            try:
                async with self._database.acquire() as connection:
                    await connection.execute(self._sql["release_lease"], name, self._identity.instance_id)
            except Exception as error:
                self.log.debug("lease_not_released", task=name, error=repr(error))
        self._fencing.clear()
        await super().dispose()

    def add(self, task: LeaderTask) -> None:
        self._fencing[task.name] = 0
        self._background.start(f"leader-{task.name}", self._lead(task))

    async def last_run(self, name: str) -> LastRun:
        row = await self._database.fetchrow(self._sql["read_lease"], name)
        return LastRun(None, 0, None) if row is None else LastRun(row["last_run_at"], row["last_count"], row["leader"])

    async def _lead(self, task: LeaderTask) -> None:
        """Hold the lease by asking every third of it; work at the interval, and at once after taking it over."""
        due = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                fencing = await self._acquire(task.name)
                if fencing != self._fencing[task.name]:
                    self._fencing[task.name] = fencing
                    self.log.info("leadership_changed", task=task.name, leading=bool(fencing), fencing=fencing)
                # An answer that was long on its way may be of a lease that is over by now.
                if fencing and time.monotonic() < self._held_until[task.name] and loop.time() >= due:
                    due = loop.time() + task.interval_seconds
                    async with asyncio.timeout(self._lease):
                        count = await task.work(fencing)
                    await self._record(task.name, fencing, count)
            except Exception as error:
                self._fencing[task.name] = 0
                self.log.warning("leader_task_failed", task=task.name, error=repr(error))
            await asyncio.sleep(min(self._lease / 3, max(0.05, task.interval_seconds)))

    async def _acquire(self, name: str) -> int:
        await self._database.wait_until_ready()
        sent_at = time.monotonic()
        async with self._database.acquire() as connection:
            fencing = await connection.fetchval(
                self._sql["acquire_lease"], name, self._identity.instance_id, self._lease
            )
        self._held_until[name] = sent_at + self._lease
        return int(fencing or 0)

    async def _record(self, name: str, fencing: int, count: int) -> None:
        async with self._database.acquire() as connection:
            await connection.execute(self._sql["record_lease_run"], name, self._identity.instance_id, fencing, count)

    def _observe(self) -> None:
        # By our own clock, like the heartbeat: a leader that cannot reach the database is none once its lease is over.
        now = time.monotonic()
        for name, fencing in self._fencing.items():
            self._metrics.leader.set(float(bool(fencing) and now < self._held_until.get(name, 0.0)), name)
