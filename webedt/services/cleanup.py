"""What one leader does for all: end orphans, throw away what has expired.

The orphan sweep is the second net under the leases. It never touches a session whose owner is alive, however old the
run, also right after new replicas have started.
"""

from abc import abstractmethod
from typing import Any, ClassVar
from uuid import UUID

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.identity import Identity
from webedt.fleet.leadership import ALeadership, LastRun, LeaderTask
from webedt.kernel import AService, BaseService
from webedt.services.endings import end_failed
from webedt.telemetry.metrics import Metrics

ORPHANS = "orphans"
HOUSEKEEPING = "housekeeping"
HOUSEKEEPING_SECONDS = 600.0
BATCH = 50


class ACleanup(AService):
    order: ClassVar[int] = 90

    @abstractmethod
    async def last_run(self) -> LastRun:
        """When the orphan sweep ran last, how many it ended, and who leads it."""


class Cleanup(BaseService, ACleanup):
    def __init__(
        self,
        identity: Identity,
        metrics: Metrics,
        *,
        timeout_minutes: float,
        interval_minutes: float,
        lease_seconds: float,
    ) -> None:
        self._identity = identity
        self._metrics = metrics
        self._timeout = timeout_minutes * 60
        self._interval = interval_minutes * 60
        self._lease = lease_seconds
        self._runs = load_queries("runs")
        self._users = load_queries("users")
        self._shares = load_queries("sharing")
        self._instances = load_queries("instances")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._leadership = self.services.get(ALeadership)
        self._leadership.add(LeaderTask(ORPHANS, self._interval, self._end_orphans))
        self._leadership.add(LeaderTask(HOUSEKEEPING, HOUSEKEEPING_SECONDS, self._purge))

    async def last_run(self) -> LastRun:
        return await self._leadership.last_run(ORPHANS)

    async def _end_orphans(self, fencing: int) -> int:
        rows = await self._database.fetch(self._runs["find_orphans"], self._timeout, self._lease, BATCH)
        ended = 0
        for row in rows:
            ended += await self._end_orphan(row["id"], fencing)
        self._metrics.orphans_cleaned.inc(ended)
        return ended

    async def _end_orphan(self, session_id: UUID, fencing: int) -> bool:
        async def work(connection: Any) -> bool:
            if await connection.fetchrow(self._runs["try_lock_head"], session_id) is None:
                return False
            row = await connection.fetchrow(self._runs["read_orphan"], session_id, self._timeout, self._lease)
            if row is None:
                return False
            # Two leaders may overlap: the one that was paused finds its number outdated, under the lease's lock.
            mine = (ORPHANS, self._identity.instance_id, fencing)
            if await connection.fetchval(self._instances["confirm_lease"], *mine) is None:
                return False
            await self._settle(connection, session_id, row)
            return True

        if not await self.with_transaction(work):
            return False
        self.log.warning("orphan_ended", session_id=str(session_id))
        self._bus.publish(Topic.EVENTS, [session_id])
        self._bus.publish(Topic.WORK, [session_id])
        return True

    async def _settle(self, connection: Any, session_id: UUID, row: Any) -> None:
        run_id = row["running_run_id"]
        if run_id is None:
            # Nothing runs, only the status says so: it becomes what the queue, or the last run, says.
            status = "pending" if row["queued_runs"] else row["last_status"] or "failed"
            await connection.execute(self._runs["settle_status"], session_id, status)
        elif row["logged_outcome"] is not None:
            await connection.execute(
                self._runs["adopt_logged_outcome"], session_id, run_id, row["logged_outcome"], row["logged_end_seq"]
            )
        else:
            text = f"No sign of life for {self._timeout / 60:g} minutes and no replica drives it."
            await end_failed(connection, self._runs, session_id, run_id, "orphaned", text)

    async def _purge(self, _fencing: int) -> int:
        """Harmless when done twice."""
        for query in (
            self._users["purge_logins"],
            self._users["purge_rate_limits"],
            self._shares["purge_shares"],
            self._runs["purge_idempotency_keys"],
            self._instances["purge_instances"],
        ):
            await self._database.fetch(query)
        return 0
