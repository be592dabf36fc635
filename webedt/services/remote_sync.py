"""What goes on elsewhere against what we know: one leader ends what nobody waits for, and wakes who waits in vain.

- Ended here, at work there (interrupted while its driver was dead; a failure on our side): stopped there.
- Deleted here: put away there.
- Driven here, ended there (the driver missed it): the run is released like at a hand-over; whoever takes it over lists
  the remote log and finds the end.

All of it may be done twice: two leaders may overlap. Nothing of ours is changed but under the head's lock, and only if
it still is what was judged. An upstream that does not answer is left alone by its circuit breaker, and delays nobody.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.events import encode_data
from webedt.domain.secrets import Secret
from webedt.fleet.leadership import ALeadership, LeaderTask
from webedt.kernel import AService, BaseService
from webedt.providers.interface import AProviders, RemoteProvider
from webedt.services.credentials import ACredentials

REMOTE_SYNC = "remote_sync"
PARALLEL = 4
BATCH = 40
CALL_SECONDS = 10.0
# How long a session is left alone after it could not be seen to, or there was nothing to do.
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 3600.0


Work = Callable[[Any, dict[str, Any], RemoteProvider, Secret | None], Awaitable[bool]]


class ARemoteSync(AService):
    order: ClassVar[int] = 90

    @abstractmethod
    async def reconcile(self) -> int:
        """One round, as the leader makes it at its interval; answers how many sessions were put right."""


class RemoteSync(BaseService, ARemoteSync):
    """`budget_seconds`: longest single round, shorter than the leader's lease. `silent_seconds`: see the third case."""

    def __init__(self, *, interval_seconds: float, budget_seconds: float, silent_seconds: float) -> None:
        self._interval = interval_seconds
        self._budget = budget_seconds
        self._silent = silent_seconds
        self._left_alone: dict[UUID, tuple[float, float]] = {}
        self._sql = load_queries("remote")
        self._runs = load_queries("runs")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._providers = self.services.get(AProviders)
        self._credentials = self.services.get(ACredentials)
        found = {name: self._providers.get(name) for name in self._providers.names}
        self._remote = {name: one for name, one in found.items() if isinstance(one, RemoteProvider)}
        if self._remote:
            self.services.get(ALeadership).add(LeaderTask(REMOTE_SYNC, self._interval, self._lead))

    async def _lead(self, _fencing: int) -> int:
        return await self.reconcile()

    async def reconcile(self) -> int:
        now = time.monotonic()
        # Remembered for a while longer, for whom it fails again.
        left = self._left_alone.items()
        self._left_alone = {key: rest for key, rest in left if rest[0] + LONGEST_PAUSE_SECONDS > now}
        alone = [key for key, (until, _pause) in self._left_alone.items() if until > now]
        leftovers = await self._database.fetch(self._sql["find_remote_leftovers"], alone, BATCH)
        silent = await self._database.fetch(
            self._sql["find_silent_remote_runs"], alone, BATCH, list(self._remote), self._silent
        )
        permits = asyncio.Semaphore(PARALLEL)
        put_right: list[bool] = []

        async def see_to(row: Any, work: Work) -> None:
            async with permits:
                put_right.append(await self._see_to(row, work))

        rounds = [*(see_to(row, self._end_leftover) for row in leftovers), *(see_to(row, self._wake) for row in silent)]
        try:
            async with asyncio.timeout(self._budget):
                await asyncio.gather(*rounds)
        except TimeoutError:
            self.log.info("remote_sync_interrupted", done=len(put_right), of=len(rounds))
        return sum(put_right)

    async def _see_to(self, row: Any, work: Work) -> bool:
        state = msgspec.json.decode(row["state"])
        remote = self._remote.get(state.get("provider"))
        if remote is None or (remote.breaker is not None and not remote.breaker.allows()):
            return False
        try:
            async with asyncio.timeout(CALL_SECONDS):
                key = await self._credentials.key_for(row["user_id"], remote)
                done = await work(row, state, remote, key)
        except Exception as error:
            self._leave_alone(row["id"])
            self.log.warning("remote_session_not_reached", session_id=str(row["id"]), error=repr(error))
            return False
        if done:
            self._left_alone.pop(row["id"], None)
        return done

    def _leave_alone(self, session_id: UUID) -> None:
        """For twice as long as last time: it may be a key that was revoked for good."""
        _until, pause = self._left_alone.get(session_id, (0.0, 0.0))
        pause = min(max(FIRST_PAUSE_SECONDS, 2 * pause), LONGEST_PAUSE_SECONDS)
        self._left_alone[session_id] = (time.monotonic() + pause, pause)

    async def _end_leftover(self, row: Any, state: dict[str, Any], remote: RemoteProvider, key: Secret | None) -> bool:
        match await remote.look(state, key):
            case "gone":
                return await self._replace(row, None)
            case "idle" if row["deleted"]:
                await remote.archive(state, key)
                return await self._replace(row, None)
            case "idle":
                return await self._replace(row, {**state, "turn": "settled"})
        # A prompt accepted meanwhile stops the agent itself before it is sent (several calls from now): what must not
        # be stopped is that prompt's own turn.
        if not await self._still(row):
            return False
        await remote.interrupt(state, key)  # and the next round sees what came of it
        return True

    async def _still(self, row: Any) -> bool:
        return bool(await self._database.fetchrow(self._sql["confirm_remote_state"], row["id"], row["state"]))

    async def _replace(self, row: Any, state: dict[str, Any] | None) -> bool:
        async def work(connection: Any) -> bool:
            if await connection.fetchrow(self._runs["try_lock_head"], row["id"]) is None:
                return False
            encoded = None if state is None else encode_data(state)
            replaced = await connection.fetchval(self._sql["replace_remote_state"], row["id"], row["state"], encoded)
            return replaced is not None

        done = await self.with_transaction(work)
        if done:
            self.log.info("remote_session_settled", session_id=str(row["id"]), archived=row["deleted"])
        return done

    async def _wake(self, row: Any, state: dict[str, Any], remote: RemoteProvider, key: Secret | None) -> bool:
        if await remote.look(state, key) == "running":
            self._left_alone[row["id"]] = (time.monotonic() + FIRST_PAUSE_SECONDS, 0.0)
            return False
        released = await self._database.fetchrow(self._runs["release_run"], row["id"], row["run_id"], row["fence"])
        if released is None:
            return False
        self.log.warning("silent_run_released", session_id=str(row["id"]), run_id=str(row["run_id"]))
        self._bus.publish(Topic.WORK, [row["id"]])
        return True
