"""The runs that this replica drives: one driver each, and what signals and sweeps bring them."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from webedt.bus.interface import ABus, Topic
from webedt.database.faults import OutcomeUnknown
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Unavailable
from webedt.domain.events import TERMINAL
from webedt.domain.runs import Claim, Outcome
from webedt.fleet.heartbeat import AHeartbeat
from webedt.fleet.identity import Identity
from webedt.kernel import AService, Background, BaseService
from webedt.log.interface import AEventWriter
from webedt.log.producer import EntryRefused, LogDefect, StaleFence
from webedt.providers.interface import AProviders
from webedt.services.claims import CANDIDATES, Claims, Ended
from webedt.services.credentials import ACredentials
from webedt.services.driver import RunDriver
from webedt.services.preparation import Preparer
from webedt.telemetry.metrics import Metrics
from webedt.telemetry.tracing import ASpan, ATracing, Attribute

SWEEP_SECONDS = 1.0
SIT_OUT_SECONDS = 30.0
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
        self._drivers: dict[UUID, RunDriver] = {}
        self._starting = 0
        self._undriven: set[UUID] = set()
        self._unowned: set[UUID] = set()
        self._sitting_out: dict[UUID, float] = {}
        self._draining = False
        self._look = asyncio.Event()
        self._background = Background()

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._heartbeat = self.services.get(AHeartbeat)
        self._writer = self.services.get(AEventWriter)
        self._providers = self.services.get(AProviders)
        self._tracing = self.services.get(ATracing)
        self._preparer = Preparer(self._database, self.services.get(ACredentials))
        self._claims = Claims(
            self._database,
            self._heartbeat,
            self._providers,
            self._identity,
            lease_seconds=self._lease,
            max_attempts=self._max_attempts,
        )
        self._bus.subscribe(Topic.WORK, lambda _ids: self._look.set())
        self._bus.subscribe(Topic.INTERRUPTS, self._interrupts_hinted)
        self._bus.on_reconnect(self._look.set)
        self._heartbeat.on_beat(self._compare_owned)
        self._writer.on_ended(self._go_on_with_queue)
        self._metrics.observe(lambda: self._metrics.runs_active.set(self.active))
        self._metrics.runs_max.set(self._max_active)
        for name in self._providers.names:
            for outcome in TERMINAL:
                self._metrics.runs_total.begin(name, outcome)
        self._background.start("execution-sweep", self._sweep_for_ever())

    async def dispose(self) -> None:
        await self._background.stop()
        await super().dispose()

    @property
    def active(self) -> int:
        return len(self._drivers)

    # Beginning -------------------------------------------------------------------------------------------------------

    @property
    def _room(self) -> int:
        return 0 if self._draining else self._max_active - len(self._drivers) - self._starting

    async def claim(self, session_id: UUID) -> bool:
        if self._room <= 0 or not self._heartbeat.valid:
            return False
        return await self._start(session_id, self._claims.claim)

    async def _take_over(self, session_id: UUID) -> bool:
        """Ignores how many runs are driven here already: somebody has to."""
        return not self._draining and await self._start(session_id, self._claims.take_over)

    async def _start(self, session_id: UUID, judge: Callable[[UUID], Awaitable[Claim | Ended | None]]) -> bool:
        self._starting += 1
        try:
            judged = await judge(session_id)
            if isinstance(judged, Claim):
                # Of no length, but told at once: the span of an attempt whose replica is killed never ends.
                self._span("run.claim", judged).end()
                self._launch(judged)
        except OutcomeUnknown:
            # If it was carried out, the run is ours and undriven: the comparison at the heartbeat finds it.
            self.log.warning("claim_answer_lost", session_id=str(session_id))
            return False
        except Unavailable:
            return False
        except Exception as error:
            # One session that cannot be claimed must not keep this replica from all others.
            self._sitting_out[session_id] = time.monotonic() + SIT_OUT_SECONDS
            self.log.error("claim_failed", session_id=str(session_id), exc_info=error)
            return False
        finally:
            self._starting -= 1
        if judged is None:
            return False
        self._tell(session_id, judged.user_id, work=isinstance(judged, Ended))
        return isinstance(judged, Claim)

    def _launch(self, claim: Claim) -> None:
        """Driven from this very step on: no heartbeat may find the run without a driver."""
        provider = self._providers.get(claim.provider)
        if provider is None:
            raise AssertionError("claimed without its provider")
        log = self._writer.open(claim.session_id, claim.run_id, claim.fence)
        prepare = partial(self._preparer.prepare, claim, provider)
        driver = RunDriver(claim, log, provider, prepare, partial(self._claims.still_ours, claim), self._tracing)
        if (before := self._drivers.get(claim.run_id)) is not None:
            # Lost and taken over again before its provider let go: its fence is outdated, and so is its place here.
            before.lost(StaleFence(f"fence {before.claim.fence} is older than {claim.fence}"))
        self._drivers[claim.run_id] = driver
        self._background.start(f"driver-{claim.run_id}", self._drive(driver))

    def _span(self, name: str, claim: Claim) -> ASpan:
        """In the trace of the request that accepted the prompt, on whatever replica that was."""
        attributes: dict[str, Attribute] = {
            "webedt.session.id": str(claim.session_id),
            "webedt.run.id": str(claim.run_id),
            "webedt.run.attempt": claim.attempt,
            "webedt.run.recovered": claim.recovered,
            "webedt.provider": claim.provider,
            "webedt.container": self._identity.container_id,
        }
        if claim.model is not None:
            attributes["webedt.model"] = claim.model
        parent = {} if claim.traceparent is None else {"traceparent": claim.traceparent}
        return self._tracing.start(name, attributes, parent=parent)

    async def _drive(self, driver: RunDriver) -> None:
        with self._span("run.attempt", driver.claim) as span:
            outcome = await self._drive_to_end(driver)
            if outcome is None:
                span.set("webedt.run.outcome", "released" if driver.may_release else "lost")
            else:
                span.set("webedt.run.outcome", outcome)
                if outcome == "failed":
                    span.fail("failed")

    async def _drive_to_end(self, driver: RunDriver) -> Outcome | None:
        claim = driver.claim
        if claim.recovered:
            self._metrics.runs_recovered.inc()
            if not claim.handed_over:
                self._metrics.runs_lost.inc()
        self.log.info("run_driven", run_id=str(claim.run_id), attempt=claim.attempt, fence=claim.fence)
        try:
            outcome = await driver.drive()
            ours_no_more = outcome is None
            if ours_no_more and driver.may_release:
                await self._claims.release(claim)
            elif isinstance(driver.failure, EntryRefused | LogDefect):
                await self._claims.end_unstorable(claim)
                outcome = "failed"
        finally:
            if self._drivers.get(claim.run_id) is driver:
                del self._drivers[claim.run_id]
        if outcome is not None:
            self._metrics.runs_total.inc(1, claim.provider, outcome)
        # A run that its driver ended by an append was told of by the writer.
        self._tell(
            claim.session_id, claim.user_id, events=driver.failure is not None or ours_no_more, work=ours_no_more
        )
        return outcome

    def _tell(self, session_id: UUID, user_id: UUID, *, events: bool = True, work: bool) -> None:
        """What a run did concerns its readers, its owner's list, and, where it leaves work behind, all replicas."""
        if events:
            self._bus.publish(Topic.EVENTS, [session_id])
        self._bus.publish(Topic.LISTS, [user_id])
        if work:
            self._bus.publish(Topic.WORK, [session_id])

    def _go_on_with_queue(self, session_id: UUID, queued_runs: int) -> None:
        if queued_runs:
            self._background.start("claim-next", self._claim_or_offer(session_id))

    async def _claim_or_offer(self, session_id: UUID) -> None:
        if not await self.claim(session_id):
            self._bus.publish(Topic.WORK, [session_id])

    # Handing over ----------------------------------------------------------------------------------------------------

    async def hand_over(self, grace_seconds: float, hurry: asyncio.Event) -> None:
        self._draining = True
        deadline = time.monotonic() + grace_seconds
        while (self._drivers or self._starting) and not hurry.is_set() and time.monotonic() < deadline:
            self._release_all(resumable_only=True)  # also of claims that were under way when the drain began
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        deadline = time.monotonic() + RELEASE_SECONDS
        while (self._drivers or self._starting) and time.monotonic() < deadline:
            self._release_all(resumable_only=False)
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
                # A statement on a connection that went silent must not keep us from the next look for a lease.
                async with asyncio.timeout(max(2.0, self._lease / 2)):
                    await self._sweep()
            except Unavailable:
                await asyncio.sleep(0.2)
            except Exception as error:
                self.log.warning("execution_sweep_failed", error=repr(error))
                await asyncio.sleep(0.2)

    async def _sweep(self) -> None:
        """Interrupts of our own runs, then what others left, then what waits."""
        if self._drivers:
            await self._apply_interrupts()
        if self._draining:
            return
        now = time.monotonic()
        self._sitting_out = {key: until for key, until in self._sitting_out.items() if until > now}
        abandoned = await self._claims.abandoned(self._sitting_out)
        taken = 0
        for session_id in abandoned:
            taken += await self._take_over(session_id)
        waiting: list[UUID] = []
        if self._room > 0:
            waiting = await self._claims.claimable(self._sitting_out, self._room)
            for session_id in waiting:
                taken += await self.claim(session_id)
        if taken and CANDIDATES in (len(abandoned), len(waiting)):
            self._look.set()  # there may be more

    async def _apply_interrupts(self) -> None:
        rows = await self._database.fetch(self._sql["list_interrupts"], self._identity.instance_id)
        for row in rows:
            driver = self._drivers.get(row["id"])
            if driver is not None:
                driver.interrupt(row["interrupt_by"])

    async def _compare_owned(self, connection: Any) -> None:
        """At every heartbeat: what the database says is ours against what is driven here.

        A run that is not driven, seen twice so that no claim under way is mistaken for it, is taken over again;
        otherwise it would run for ever, its owner being alive. A driver whose run has a newer fence stops, and so does
        one whose run, seen twice, is not ours: its provider may be silent, so that no append tells it.
        """
        rows = await connection.fetch(self._sql["list_owned"], self._identity.instance_id)
        owned = {row["id"]: row for row in rows}
        undriven = owned.keys() - self._drivers.keys()
        self._claims.undriven, self._undriven = undriven & self._undriven, set(undriven)
        unowned = self._drivers.keys() - owned.keys()
        lost, self._unowned = unowned & self._unowned, set(unowned)
        for run_id, driver in list(self._drivers.items()):
            row = owned.get(run_id)
            if run_id in lost:
                driver.lost(StaleFence("the run is driven elsewhere, or has ended"))
            elif row is not None and row["fence"] > driver.claim.fence:
                driver.lost(StaleFence(f"fence {driver.claim.fence} is older than {row['fence']}"))
            elif row is not None and row["interrupt_by"] is not None:
                driver.interrupt(row["interrupt_by"])
        if self._claims.undriven:
            self.log.warning("own_runs_undriven", runs=len(self._claims.undriven))
            self._look.set()
