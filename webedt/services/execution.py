"""Which runs this replica drives: claim, take-over, interrupts, hand-over.

Every candidate is chosen without a lock; then its head is locked without waiting, and judged again by a second
statement, whose snapshot is younger than the lock. `start_attempt` raises the fence: from then on whoever drove the
run before can append nothing.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Collection
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from webedt.bus.interface import ABus, Topic
from webedt.database.faults import OutcomeUnknown
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Unavailable
from webedt.domain.events import MESSAGE, RUN_RECOVERED, RUN_RESTARTED, RUN_STARTED, USER_MESSAGE, encode_data
from webedt.domain.runs import Claim
from webedt.fleet.heartbeat import AHeartbeat
from webedt.fleet.identity import Identity
from webedt.kernel import AService, Background, BaseService
from webedt.log.interface import AEventWriter
from webedt.log.producer import StaleFence
from webedt.providers.interface import AProviders, RunRequest, Turn
from webedt.services.driver import Preparation, RunDriver
from webedt.services.endings import end_failed, end_interrupted
from webedt.telemetry.metrics import Metrics

SWEEP_SECONDS = 1.0
CANDIDATES = 20
NEVER_SECONDS = 1e9
DRAIN_LOOK_SECONDS = 0.02
RELEASE_SECONDS = 5.0


class AExecution(AService):
    order: ClassVar[int] = 70

    @abstractmethod
    async def claim(self, session_id: UUID) -> bool:
        """Claim the session's next run if there is room here and nothing of it runs; never raises for a database."""

    @abstractmethod
    async def hand_over(self, grace_seconds: float, hurry: asyncio.Event) -> None:
        """Claim nothing more; release what can be continued elsewhere, let the rest go on for so long, release it too.

        `hurry` ends the wait early.
        """

    @property
    @abstractmethod
    def active(self) -> int:
        """Runs driven here."""


class Execution(BaseService, AExecution):
    def __init__(
        self,
        identity: Identity,
        metrics: Metrics,
        *,
        lease_seconds: float,
        max_active_runs: int,
        max_attempts: int,
    ) -> None:
        self._identity = identity
        self._metrics = metrics
        self._lease = lease_seconds
        self._max_active = max_active_runs
        self._max_attempts = max_attempts
        self._sql = load_queries("runs")
        self._events_sql = load_queries("events")
        self._drivers: dict[UUID, RunDriver] = {}
        self._starting = 0
        self._undriven: set[UUID] = set()
        self._abandoned_here: set[UUID] = set()
        self._draining = False
        self._look = asyncio.Event()
        self._background = Background()

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._heartbeat = self.services.get(AHeartbeat)
        self._writer = self.services.get(AEventWriter)
        self._providers = self.services.get(AProviders)
        self._bus.subscribe(Topic.WORK, lambda _ids: self._look.set())
        self._bus.subscribe(Topic.INTERRUPTS, self._interrupts_hinted)
        self._bus.on_reconnect(self._look.set)
        self._heartbeat.on_beat(self._compare_owned)
        self._writer.on_ended(self._go_on_with_queue)
        self._metrics.observe(lambda: self._metrics.runs_active.set(self.active))
        self._background.start("execution-sweep", self._sweep_for_ever())

    async def dispose(self) -> None:
        await self._background.stop()
        await super().dispose()

    @property
    def active(self) -> int:
        return len(self._drivers)

    # Claim and take-over ---------------------------------------------------------------------------------------------

    @property
    def _room(self) -> int:
        return 0 if self._draining else self._max_active - len(self._drivers) - self._starting

    async def claim(self, session_id: UUID) -> bool:
        if self._room <= 0 or not self._heartbeat.valid:
            return False
        return await self._start(session_id, self._claim_next)

    async def _take_over(self, session_id: UUID) -> bool:
        return await self._start(session_id, self._claim_abandoned)

    async def _start(self, session_id: UUID, claim: Callable[[Any, UUID], Any]) -> bool:
        async def work(connection: Any) -> Claim | None:
            if await connection.fetchrow(self._sql["try_lock_head"], session_id) is None:
                return None
            claimed: Claim | None = await claim(connection, session_id)
            return claimed

        self._starting += 1
        try:
            claimed = await self.with_transaction(work)
            if claimed is not None:
                self._launch(claimed)
        except OutcomeUnknown:
            # If it was carried out, the run is ours and undriven: the comparison at the heartbeat finds it.
            self.log.warning("claim_answer_lost", session_id=str(session_id))
            return False
        except Unavailable:
            return False
        finally:
            self._starting -= 1
        if claimed is None:
            return False
        self._bus.publish(Topic.EVENTS, [session_id])
        self._bus.publish(Topic.LISTS, [claimed.user_id])
        return True

    async def _claim_next(self, connection: Any, session_id: UUID) -> Claim | None:
        row = await connection.fetchrow(self._sql["read_next_run"], session_id)
        if row is None:
            return None
        data = self._announce(row, {"provider": row["provider"], "model": row["model"]})
        return await self._begin(connection, session_id, row, RUN_STARTED, data, from_queue=1)

    async def _claim_abandoned(self, connection: Any, session_id: UUID) -> Claim | None:
        row = await connection.fetchrow(
            self._sql["read_abandoned_run"], session_id, self._judging_seconds, self._identity.instance_id,
            list(self._abandoned_here - self._drivers.keys()),
        )  # fmt: skip
        if row is None:
            return None
        if row["interrupt_by"] is not None:
            await end_interrupted(connection, self._sql, session_id, row["id"], row["interrupt_by"])
            self._after_ending(session_id, row)
            return None
        if row["attempt"] - row["handovers"] >= self._max_attempts:
            text = f"Given up after {self._max_attempts} attempts: each time the replica that drove the run was lost."
            await end_failed(connection, self._sql, session_id, row["id"], "too_many_attempts", text)
            self._after_ending(session_id, row)
            return None
        provider = self._providers.get(row["provider"])
        if provider is not None and provider.resumable:
            return await self._begin(connection, session_id, row, RUN_RECOVERED, self._announce(row, {}), from_queue=0)
        data = encode_data({"runId": str(row["id"]), "attempt": row["attempt"] + 1, "reason": "replica_lost"})
        return await self._begin(connection, session_id, row, RUN_RESTARTED, data, from_queue=0)

    @property
    def _judging_seconds(self) -> float:
        """How long another replica must have been silent. Never, unless our own beats were good for a whole lease."""
        return self._lease if self._heartbeat.may_take_over else NEVER_SECONDS

    def _announce(self, row: Any, more: dict[str, Any]) -> str:
        data = {
            "runId": str(row["id"]),
            "attempt": row["attempt"] + 1,
            **more,
            "container": self._identity.container_id,
        }
        return encode_data(data)

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
        )

    def _after_ending(self, session_id: UUID, row: Any) -> None:
        """Tell others once the transaction that ended a run has committed; too early is only a wasted look."""
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, self._bus.publish, Topic.EVENTS, [session_id])
        loop.call_later(0.02, self._bus.publish, Topic.LISTS, [row["user_id"]])
        loop.call_later(0.02, self._bus.publish, Topic.WORK, [session_id])

    # Driving ---------------------------------------------------------------------------------------------------------

    def _launch(self, claim: Claim) -> None:
        """Driven from this very step on: no heartbeat may find the run without a driver."""
        provider = self._providers.get(claim.provider)
        if provider is None:
            # Another version of this program knew it; that one may take the run, this one must not keep it.
            self.log.error("provider_unknown", provider=claim.provider, run_id=str(claim.run_id))
            self._background.start("release", self._release(claim))
            return
        log = self._writer.open(claim.session_id, claim.run_id, claim.fence)
        wants_history = provider.wants_history
        driver = RunDriver(claim, log, provider, lambda: self._prepare(claim, wants_history=wants_history))
        self._drivers[claim.run_id] = driver
        self._background.start(f"driver-{claim.run_id}", self._drive(driver))

    async def _drive(self, driver: RunDriver) -> None:
        claim = driver.claim
        if claim.recovered:
            self._metrics.runs_recovered.inc()
        self.log.info("run_driven", run_id=str(claim.run_id), attempt=claim.attempt, fence=claim.fence)
        try:
            outcome = await driver.drive()
            if outcome is not None:
                self._metrics.runs_total.inc(1, claim.provider, outcome)
            elif driver.may_release:
                await self._release(claim)
        finally:
            del self._drivers[claim.run_id]
            self._look.set()
        self._bus.publish(Topic.LISTS, [claim.user_id])

    async def _prepare(self, claim: Claim, *, wants_history: bool) -> Preparation:
        history: list[Turn] = []
        open_messages: dict[str, int] = {}
        if wants_history:
            rows = await self._read(self._events_sql["read_conversation"], claim.session_id, claim.prompt_seq)
            for row in rows:
                if row["type"] in (USER_MESSAGE, MESSAGE):
                    role: Literal["user", "assistant"] = "user" if row["type"] == USER_MESSAGE else "assistant"
                    history.append(Turn(role, _json(row["data"])["content"]))
        if claim.recovered:
            rows = await self._read(
                self._events_sql["find_open_messages"], claim.session_id, claim.run_id, claim.prompt_seq
            )
            open_messages = {row["message_id"]: row["first_seq"] for row in rows}
        request = RunRequest(
            run_id=claim.run_id,
            session_id=claim.session_id,
            user_id=claim.user_id,
            attempt=claim.attempt,
            model=claim.model,
            prompt=claim.prompt,
            history=history,
            state=claim.provider_state,
            repository_url=claim.repository_url,
            branch=claim.branch,
        )
        return Preparation(request, open_messages)

    async def _read(self, query: str, *args: Any) -> Any:
        """As `fetch`, but the database may be away: the run is ours and waits for it."""
        while True:
            try:
                return await self._database.fetch(query, *args)
            except Unavailable:
                await self._database.wait_until_ready()
                await asyncio.sleep(0.1)

    async def _release(self, claim: Claim) -> None:
        async def work(connection: Any) -> Any:
            await connection.fetchrow(self._sql["lock_head"], claim.session_id)
            return await connection.fetchval(self._sql["release_run"], claim.session_id, claim.run_id, claim.fence)

        try:
            await self.with_transaction(work)
        except (Unavailable, OutcomeUnknown) as error:
            # It will look abandoned once this replica's row is gone or silent.
            self.log.warning("release_failed", run_id=str(claim.run_id), error=repr(error))
        self._bus.publish(Topic.WORK, [claim.session_id], local=not self._draining)

    def _go_on_with_queue(self, session_id: UUID, queued_runs: int) -> None:
        if queued_runs:
            self._background.start("claim-next", self._claim_or_offer(session_id))

    async def _claim_or_offer(self, session_id: UUID) -> None:
        if not await self.claim(session_id):
            self._bus.publish(Topic.WORK, [session_id])

    async def hand_over(self, grace_seconds: float, hurry: asyncio.Event) -> None:
        self._draining = True
        self._release_all(resumable_only=True)
        deadline = time.monotonic() + grace_seconds
        while self._drivers and not hurry.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110 - several conditions
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        self._release_all(resumable_only=False)
        deadline = time.monotonic() + RELEASE_SECONDS
        while (self._drivers or self._starting) and time.monotonic() < deadline:
            self._release_all(resumable_only=False)  # a claim that was under way when the drain began
            await asyncio.sleep(DRAIN_LOOK_SECONDS)

    def _release_all(self, *, resumable_only: bool) -> None:
        for driver in list(self._drivers.values()):
            if driver.resumable or not resumable_only:
                driver.release()

    # What signals and sweeps bring -----------------------------------------------------------------------------------

    def _interrupts_hinted(self, run_ids: Collection[UUID]) -> None:
        if any(run_id in self._drivers for run_id in run_ids):
            self._look.set()

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            # Without a lease nothing may be decided.
            await self._heartbeat.wait_until_valid()
            try:
                await self._sweep()
            except Unavailable:
                await asyncio.sleep(0.2)
            except Exception as error:
                self.log.warning("execution_sweep_failed", error=repr(error))
                await asyncio.sleep(0.2)

    async def _sweep(self) -> None:
        if self._drivers:
            await self._apply_interrupts()
        if self._draining:
            return
        abandoned = await self._database.fetch(
            self._sql["find_abandoned"], self._judging_seconds, self._identity.instance_id,
            list(self._abandoned_here - self._drivers.keys()), CANDIDATES,
        )  # fmt: skip
        taken = 0
        for row in abandoned:
            taken += await self._take_over(row["chat_session_id"])
        if taken and len(abandoned) == CANDIDATES:
            self._look.set()  # there may be more
        if self._room > 0:
            candidates = await self._database.fetch(self._sql["find_claimable"], min(CANDIDATES, self._room))
            taken = 0
            for row in candidates:
                taken += await self.claim(row["chat_session_id"])
            if taken == CANDIDATES:
                self._look.set()

    async def _apply_interrupts(self) -> None:
        rows = await self._database.fetch(self._sql["list_interrupts"], self._identity.instance_id)
        for row in rows:
            driver = self._drivers.get(row["id"])
            if driver is not None:
                driver.interrupt(row["interrupt_by"])

    async def _compare_owned(self, connection: Any) -> None:
        """At every heartbeat: what the database says is ours against what is driven here.

        A run that is not driven, seen twice so that no claim under way is mistaken for it, is taken over again;
        otherwise it would run for ever, its owner being alive. A driver whose fence is not the head's any more stops.
        """
        rows = await connection.fetch(self._sql["list_owned"], self._identity.instance_id)
        owned = {row["id"]: row for row in rows}
        undriven = owned.keys() - self._drivers.keys()
        self._abandoned_here = undriven & self._undriven
        self._undriven = set(undriven)
        for run_id, driver in list(self._drivers.items()):
            row = owned.get(run_id)
            if row is not None and row["fence"] != driver.claim.fence:
                driver.lost(StaleFence(f"fence {driver.claim.fence} is older than {row['fence']}"))
            elif row is not None and row["interrupt_by"] is not None:
                driver.interrupt(row["interrupt_by"])
        if self._abandoned_here:
            self.log.warning("own_runs_undriven", runs=len(self._abandoned_here))
            self._look.set()


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
