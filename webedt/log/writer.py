"""Group commit: the one writer through which every event of this replica's runs becomes durable.

While one statement is in flight the next batch gathers; there are no timers. The statement (`append_batch` in
`sql/queries/events.sql`) decides what is stored; here it is decided what to believe when its answer is missing:

- no answer: every entry of the batch is *unanswered*, and is sent again unchanged, alone or beside others;
- an answer with `base`: stored now. The head at our last ordinal: it was stored before. Another fence: never will be;
- a head that is held by somebody else is skipped by the statement: that entry comes again in a moment;
- a statement refused for its content or for a lock behind the heads: it is split, until the culprit stands alone.

Nothing is sent while the lease of this replica is in doubt (`AHeartbeat.valid`); the fence is what makes that safe, the
pause is what makes it rare.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from webedt.bus.interface import ABus, Commit, Topic
from webedt.database.backoff import Backoff
from webedt.database.dedicated import DedicatedConnection
from webedt.database.faults import is_connection_lost, is_passing
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.heartbeat import AHeartbeat
from webedt.kernel import Background, BaseService
from webedt.log.interface import AEventWriter
from webedt.log.producer import Entry, EntryRefused, LogDefect, RunLog, StaleFence
from webedt.log.tails import ATails
from webedt.telemetry.metrics import Metrics

MAX_BATCH_EVENTS = 4000
MAX_BATCH_BYTES = 4 * 1024 * 1024
# Milliseconds. Left to itself, PostgreSQL plans an append of a few events anew each time, for more than it costs.
SERVER_SETTINGS = {"lock_timeout": "800", "plan_cache_mode": "force_generic_plan"}
ANSWER_TIMEOUT_SECONDS = 20.0
SKIPPED_AGAIN_SECONDS = 0.004
MAX_SKIPPED_SECONDS = 0.25


class EventWriter(BaseService, AEventWriter):
    def __init__(self, metrics: Metrics, lease_seconds: float) -> None:
        self._metrics = metrics
        self._answer_timeout = min(ANSWER_TIMEOUT_SECONDS, max(1.0, lease_seconds))
        self._sql = load_queries("events")
        self._queue: dict[RunLog, None] = {}
        self._filled = asyncio.Event()
        self._ended: list[Callable[[UUID, int], None]] = []
        self._backoff = Backoff(0.02, 1.0)
        self._background = Background()
        self._link: DedicatedConnection | None = None

    async def initialize(self) -> None:
        database = self.services.get(ADatabase)
        self._heartbeat = self.services.get(AHeartbeat)
        self._tails = self.services.get(ATails)
        self._bus = self.services.get(ABus)
        self._link = DedicatedConnection(
            "writer",
            partial(database.connect, "writer", command_timeout_seconds=self._answer_timeout, **SERVER_SETTINGS),
            max_backoff_seconds=1.0,
        )
        self._background.start("event-writer", self._write_for_ever(self._link))

    async def dispose(self) -> None:
        await self._background.stop()
        if self._link is not None:
            await self._link.close()
        await super().dispose()

    def open(self, session_id: UUID, run_id: UUID, fence: int) -> RunLog:
        return RunLog(session_id, run_id, fence, self._enqueue)

    def on_ended(self, callback: Callable[[UUID, int], None]) -> None:
        self._ended.append(callback)

    def _enqueue(self, producer: RunLog) -> None:
        self._queue[producer] = None
        self._filled.set()

    # The loop --------------------------------------------------------------------------------------------------------

    async def _write_for_ever(self, link: DedicatedConnection) -> None:
        while True:
            await self._filled.wait()
            if not self._heartbeat.valid:
                await self._heartbeat.wait_until_valid()
            batch = self._gather()
            if batch:
                await self._commit(link, batch)
            if not self._queue:
                self._filled.clear()

    def _gather(self) -> list[Entry]:
        """One entry a session at most: a session has one producer with the current fence, older ones will fail."""
        batch: dict[UUID, Entry] = {}
        events = size = 0
        for producer in list(self._queue):
            if events >= MAX_BATCH_EVENTS or size >= MAX_BATCH_BYTES:
                break
            if producer.session_id in batch:
                continue
            del self._queue[producer]
            entry = producer.take()
            if entry is not None:
                batch[producer.session_id] = entry
                events += len(entry.events)
                size += sum(len(event.data) for event in entry.events)
        return sorted(batch.values(), key=lambda entry: entry.producer.session_id)

    async def _commit(self, link: DedicatedConnection, batch: Sequence[Entry]) -> None:
        connection = await link.get()
        if not self._heartbeat.valid:
            self._again(batch)  # the connection was long in coming
            return
        started = time.monotonic()
        try:
            rows = await connection.fetch(self._sql["append_batch"], *_arguments(batch))
        except Exception as error:
            await self._refused(link, batch, error)
            return
        self._backoff.reset()
        answered = time.monotonic()
        self._metrics.commit_seconds.observe(answered - started)
        stored: list[Commit] = []
        for entry, row in zip(batch, rows, strict=True):
            commit = await self._settle(link, entry, row, answered)
            if commit is not None:
                stored.append(commit)
        if stored:
            events = sum(len(commit.events) for commit in stored)
            self._metrics.events_committed.inc(events)
            self._metrics.commit_batch.observe(events)
            self._bus.carry(stored)  # to the other replicas: after the commit, and outside of it

    async def _refused(self, link: DedicatedConnection, batch: Sequence[Entry], error: Exception) -> None:
        """The statement failed as a whole, or nobody knows. Nothing is given up that may be stored."""
        if is_connection_lost(error):
            self.log.warning("append_unanswered", entries=len(batch), error=repr(error))
            link.discard()
            self._again(batch)
        elif isinstance(error, asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError):
            # Somebody holds a row behind one of the heads: that session alone waits, the others go on.
            if len(batch) > 1:
                await self._split(link, batch)
            else:
                self._later(batch[0].producer)
        elif is_passing(error):
            self.log.warning("append_postponed", entries=len(batch), error=repr(error))
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                link.discard()  # it may stay so for as long as it lives; a new one finds who may write now
            self._again(batch)
            await asyncio.sleep(self._backoff.next())
        elif len(batch) > 1:
            await self._split(link, batch)
        else:
            self.log.error("append_refused", run_id=str(batch[0].producer.run_id), error=repr(error))
            batch[0].producer.fail(EntryRefused(type(error).__name__))

    async def _split(self, link: DedicatedConnection, batch: Sequence[Entry]) -> None:
        middle = len(batch) // 2
        await self._commit(link, batch[:middle])
        await self._commit(link, batch[middle:])

    def _later(self, producer: RunLog) -> None:
        delay = min(SKIPPED_AGAIN_SECONDS * 2.0**producer.skipped, MAX_SKIPPED_SECONDS)
        producer.skipped += 1
        asyncio.get_running_loop().call_later(delay, self._enqueue, producer)

    def _again(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            self._enqueue(entry.producer)

    # One answer ------------------------------------------------------------------------------------------------------

    async def _settle(self, link: DedicatedConnection, entry: Entry, row: Any, answered: float) -> Commit | None:
        """Believe the row; returns what is new in the log."""
        producer = entry.producer
        if row["base"] is not None:
            first_seq = row["base"] + 1
            commit = Commit(producer.session_id, producer.run_id, first_seq, entry.events, entry.outcome is not None)
            settled = None if row["queued_runs"] else entry.outcome
            self._tails.committed(commit, settled=settled, at=answered)
            self._finish(entry, first_seq, row["queued_runs"])
            return commit
        if row["fence"] is None:
            if row["known"]:
                self._later(producer)
            else:
                producer.fail(EntryRefused("the session is gone"))
        elif row["fence"] != producer.fence:
            self.log.warning("producer_fenced", run_id=str(producer.run_id), fence=producer.fence, head=row["fence"])
            producer.fail(StaleFence(f"fence {producer.fence} is older than {row['fence']}"))
        elif row["ordinal"] == entry.last_ordinal:
            await self._recognise(link, entry, row["last_seq"])
        else:
            self.log.error(
                "ordinal_defect", run_id=str(producer.run_id), head=row["ordinal"], first=entry.first_ordinal
            )
            producer.fail(LogDefect(f"ordinal {row['ordinal']} at the head, {entry.first_ordinal} to be stored"))
        return None

    async def _recognise(self, link: DedicatedConnection, entry: Entry, last_seq: int) -> None:
        """An earlier, unanswered send was carried out after all: learn the ids of its events, which are one block."""
        producer = entry.producer
        connection = await link.get()
        try:
            newest = await connection.fetchval(self._sql["find_last_seq_of_run"], producer.session_id, producer.run_id)
        except Exception as error:
            await self._refused(link, [entry], error)
            return
        self.log.info("append_recognised", run_id=str(producer.run_id), events=len(entry.events), head=last_seq)
        self._metrics.events_committed.inc(len(entry.events))
        self._tails.wake(producer.session_id)
        self._bus.publish(Topic.EVENTS, [producer.session_id], local=False)
        self._finish(entry, newest - len(entry.events) + 1, None)

    def _finish(self, entry: Entry, first_seq: int, queued_runs: int | None) -> None:
        entry.producer.acknowledge(entry, first_seq)
        if entry.outcome is not None:
            for callback in self._ended:
                # Unknown after a lost answer: look for more work rather than leave it to the sweep.
                callback(entry.producer.session_id, 1 if queued_runs is None else queued_runs)


def _arguments(batch: Sequence[Entry]) -> tuple[list[Any], ...]:
    """The arrays of `append_batch`: eight with one element an entry, four with one element an event."""
    positions: list[int] = []
    places: list[int] = []
    types: list[str] = []
    datas: list[str] = []
    for number, entry in enumerate(batch, 1):
        n = len(entry.events)
        positions += [number] * n
        places += range(1, n + 1)
        types += [event.type for event in entry.events]
        datas += [event.data for event in entry.events]
    return (
        [entry.producer.session_id for entry in batch],
        [entry.producer.fence for entry in batch],
        [entry.first_ordinal for entry in batch],
        [len(entry.events) for entry in batch],
        [entry.producer.run_id for entry in batch],
        [entry.checkpoint for entry in batch],
        [entry.provider_state for entry in batch],
        [entry.outcome for entry in batch],
        positions,
        places,
        types,
        datas,
    )
