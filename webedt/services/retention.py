"""What one leader removes for all, in small batches: deltas that a whole message has superseded, and sessions whose
time in the trash is over. Both are harmless when two leaders overlap: what is gone is gone.
"""

import time
from abc import abstractmethod
from typing import Any, ClassVar
from uuid import UUID

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.leadership import ALeadership, LeaderTask
from webedt.kernel import AService, BaseService
from webedt.services.files import AFiles

COMPACTION = "compaction"
TRASH = "trash"
RUNS_AT_ONCE = 100
SESSIONS_AT_ONCE = 20
EVENTS_AT_ONCE = 2000
WORK_SECONDS = 2.0  # then the rest waits for the next turn: leadership is confirmed in between
MAX_INTERVAL_SECONDS = 60.0


class ARetention(AService):
    order: ClassVar[int] = 90

    @abstractmethod
    async def compact(self) -> int:
        """Remove superseded deltas of runs that ended long enough ago; returns how many events went."""

    @abstractmethod
    async def purge(self) -> int:
        """Remove sessions that were deleted long enough ago; returns how many went."""


class Retention(BaseService, ARetention):
    def __init__(self, *, compact_after_seconds: float, trash_seconds: float) -> None:
        self._compact_after = compact_after_seconds
        self._trash_after = trash_seconds
        self._sql = load_queries("retention")
        self._runs = load_queries("runs")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._files = self.services.get(AFiles)
        leadership = self.services.get(ALeadership)
        if self._compact_after:
            interval = min(MAX_INTERVAL_SECONDS, max(1.0, self._compact_after / 4))
            leadership.add(LeaderTask(COMPACTION, interval, lambda _fencing: self.compact()))
        interval = min(MAX_INTERVAL_SECONDS, max(1.0, self._trash_after / 4))
        leadership.add(LeaderTask(TRASH, interval, lambda _fencing: self.purge()))

    async def compact(self) -> int:
        deadline = time.monotonic() + WORK_SECONDS
        removed = 0
        rows = await self._database.fetch(self._sql["find_runs_to_compact"], self._compact_after, RUNS_AT_ONCE)
        for row in rows:
            names = (row["chat_session_id"], row["id"])
            while batch := await self._delete(
                self._sql["delete_superseded_deltas"], *names, row["prompt_seq"], row["end_seq"], EVENTS_AT_ONCE
            ):
                removed += batch
                if time.monotonic() > deadline:
                    return removed
            await self._database.fetch(self._sql["mark_compacted"], *names)
        return removed

    async def purge(self) -> int:
        rows = await self._database.fetch(self._sql["find_trash"], self._trash_after, SESSIONS_AT_ONCE)
        purged = 0
        for row in rows:
            purged += await self._purge_session(row["id"])
        deadline = time.monotonic() + WORK_SECONDS
        for row in await self._database.fetch(self._sql["find_purges"], SESSIONS_AT_ONCE):
            while await self._delete(self._sql["delete_purged_events"], row["chat_session_id"], EVENTS_AT_ONCE):
                if time.monotonic() > deadline:
                    return purged
            while await self._files.forget(row["chat_session_id"]):
                if time.monotonic() > deadline:
                    return purged
            await self._database.fetch(self._sql["finish_purge"], row["chat_session_id"])
        return purged

    async def _purge_session(self, session_id: UUID) -> bool:
        async def work(connection: Any) -> bool:
            head = await connection.fetchrow(self._runs["try_lock_head"], session_id)
            if head is None or head["running_run_id"] is not None or head["queued_runs"]:
                return False
            return await connection.fetchval(self._sql["purge_session"], session_id, self._trash_after) is not None

        purged = await self.with_transaction(work)
        if purged:
            self.log.info("session_purged", session_id=str(session_id))
            self._bus.publish(Topic.EVENTS, [session_id])
        return purged

    async def _delete(self, query: str, *args: Any) -> int:
        """How many rows a DELETE removed."""
        async with self._database.acquire() as connection:
            status: str = await connection.execute(query, *args)
        return int(status.rsplit(" ", 1)[1])
