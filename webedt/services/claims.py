"""Who may drive a run: claim, take-over, release, as transactions on the session's head.

Every candidate is chosen without a lock; then its head is locked without waiting, and judged again by a second
statement, whose snapshot is younger than the lock. `start_attempt` raises the fence: from then on whoever drove the run
before can append nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from webedt.database.faults import OutcomeUnknown
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Unavailable
from webedt.domain.events import RUN_RECOVERED, RUN_RESTARTED, RUN_STARTED, encode_data
from webedt.domain.runs import Claim
from webedt.fleet.heartbeat import AHeartbeat
from webedt.fleet.identity import Identity
from webedt.log.producer import StaleFence
from webedt.providers.interface import AProviders
from webedt.services.endings import end_failed, end_interrupted

CANDIDATES = 20
NEVER_SECONDS = 1e9
TRY_AGAIN_SECONDS = 0.2


class Ended(NamedTuple):
    """What a take-over made of a run that nobody is to drive any more."""

    user_id: UUID


Judge = Callable[[Any, UUID], Awaitable[Claim | Ended | None]]


class Claims:
    """`undriven`: this replica's own runs that it does not drive; they count as abandoned."""

    def __init__(
        self,
        database: ADatabase,
        heartbeat: AHeartbeat,
        providers: AProviders,
        identity: Identity,
        *,
        lease_seconds: float,
        max_attempts: int,
    ) -> None:
        self._database = database
        self._heartbeat = heartbeat
        self._providers = providers
        self._identity = identity
        self._lease = lease_seconds
        self._max_attempts = max_attempts
        self._sql = load_queries("runs")
        self.undriven: Collection[UUID] = ()

    # Candidates ------------------------------------------------------------------------------------------------------

    async def claimable(self, excluded: Collection[UUID], limit: int) -> list[UUID]:
        """Sessions where a run waits that could be claimed, the longest waiting first."""
        known = list(self._providers.names)
        rows = await self._database.fetch(self._sql["find_claimable"], known, list(excluded), min(limit, CANDIDATES))
        return [row["chat_session_id"] for row in rows]

    async def abandoned(self, excluded: Collection[UUID]) -> list[UUID]:
        """Sessions whose running run has no living owner."""
        rows = await self._database.fetch(
            self._sql["find_abandoned"],
            self._judging_seconds,
            self._identity.instance_id,
            list(self.undriven),
            list(self._providers.names),
            list(excluded),
            CANDIDATES,
        )
        return [row["chat_session_id"] for row in rows]

    @property
    def _judging_seconds(self) -> float:
        """How long another replica must have been silent. Never, unless our own beats were good for a whole lease."""
        return self._lease if self._heartbeat.may_take_over else NEVER_SECONDS

    # Transactions ----------------------------------------------------------------------------------------------------

    async def claim(self, session_id: UUID) -> Claim | Ended | None:
        """The session's next run, if nothing of it runs. Raises `Unavailable`, `OutcomeUnknown`."""
        return await self._judge(session_id, self._next)

    async def take_over(self, session_id: UUID) -> Claim | Ended | None:
        """The session's running run, if its owner is gone; or its end, if it was to stop or was tried too often."""
        return await self._judge(session_id, self._abandoned)

    async def _judge(self, session_id: UUID, judge: Judge) -> Claim | Ended | None:
        async def work(connection: Any) -> Claim | Ended | None:
            if await connection.fetchrow(self._sql["try_lock_head"], session_id) is None:
                return None
            return await judge(connection, session_id)

        return await self._database.with_transaction(work)

    async def _next(self, connection: Any, session_id: UUID) -> Claim | None:
        row = await connection.fetchrow(self._sql["read_next_run"], session_id)
        if row is None or self._providers.get(row["provider"]) is None:
            return None
        data = self._announce(row, {"provider": row["provider"], "model": row["model"]})
        return await self._begin(connection, session_id, row, RUN_STARTED, data, from_queue=1)

    async def _abandoned(self, connection: Any, session_id: UUID) -> Claim | Ended | None:
        row = await connection.fetchrow(
            self._sql["read_abandoned_run"],
            session_id,
            self._judging_seconds,
            self._identity.instance_id,
            list(self.undriven),
        )
        if row is None:
            return None
        if row["interrupt_by"] is not None:
            await end_interrupted(connection, self._sql, session_id, row["id"], row["interrupt_by"])
            return Ended(row["user_id"])
        if row["attempt"] - row["handovers"] >= self._max_attempts:
            text = f"Given up after {self._max_attempts} attempts: each time the replica that drove the run was lost."
            await end_failed(connection, self._sql, session_id, row["id"], "too_many_attempts", text)
            return Ended(row["user_id"])
        provider = self._providers.get(row["provider"])
        if provider is None:
            return None  # another version of this program knew it: a replica that does may take the run
        if provider.resumable:
            return await self._begin(connection, session_id, row, RUN_RECOVERED, self._announce(row, {}), from_queue=0)
        data = encode_data({"runId": str(row["id"]), "attempt": row["attempt"] + 1, "reason": "replica_lost"})
        return await self._begin(connection, session_id, row, RUN_RESTARTED, data, from_queue=0)

    def _announce(self, row: Any, more: dict[str, Any]) -> str:
        container = self._identity.container_id
        return encode_data({"runId": str(row["id"]), "attempt": row["attempt"] + 1, **more, "container": container})

    async def _begin(
        self, connection: Any, session_id: UUID, row: Any, event_type: str, data: str, *, from_queue: int
    ) -> Claim:
        started = await connection.fetchrow(
            self._sql["start_attempt"], session_id, row["id"], self._identity.instance_id, event_type, data, from_queue
        )
        return Claim(
            session_id=session_id,
            run_id=row["id"],
            user_id=row["user_id"],
            fence=started["fence"],
            attempt=started["attempt"],
            provider=row["provider"],
            model=row["model"],
            prompt=_json(row["prompt"])["content"],
            prompt_seq=row["prompt_seq"],
            checkpoint=_json(row["checkpoint"]),
            provider_state=_json(row["provider_state"]),
            repository_url=row["repository_url"],
            branch=row["branch"],
            elapsed_ms=started["elapsed_ms"],
            recovered=not from_queue,
            handed_over=not from_queue and row["owner"] is None,
            traceparent=row["traceparent"],
        )

    async def still_ours(self, claim: Claim) -> None:
        """Return when no other replica may have taken the run over. Raises `StaleFence` when one has.

        Who was frozen or cut off must not do outside what a successor does too, where no fence refuses it. The fence is
        read, and the lease looked at after it: had we been frozen since, it would be over.
        """
        while True:
            await self._heartbeat.wait_until_valid()
            try:
                row = await self._database.fetchrow(self._sql["read_fence"], claim.session_id)
            except Unavailable:
                await asyncio.sleep(TRY_AGAIN_SECONDS)
                continue
            if row is None or row["fence"] != claim.fence:
                raise StaleFence(f"fence {claim.fence} is outdated")
            if self._heartbeat.valid:
                return

    async def release(self, claim: Claim) -> None:
        """Give the run away. One statement that checks the fence itself, so it may be tried until it is answered."""
        while True:
            try:
                await self._database.fetchrow(self._sql["release_run"], claim.session_id, claim.run_id, claim.fence)
                return
            except Unavailable:
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    async def end_unstorable(self, claim: Claim) -> None:
        """The log refuses what this run has to say: end it, if it is still ours. Tried until it is answered."""

        async def work(connection: Any) -> None:
            head = await connection.fetchrow(self._sql["lock_head"], claim.session_id)
            if head is not None and head["fence"] == claim.fence and head["running_run_id"] == claim.run_id:
                text = "The answer contained something that cannot be stored."
                await end_failed(connection, self._sql, claim.session_id, claim.run_id, "not_storable", text)

        while True:
            try:
                return await self._database.with_transaction(work)
            except (Unavailable, OutcomeUnknown):
                await asyncio.sleep(TRY_AGAIN_SECONDS)


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
