"""All open tails of this replica: opening and closing them, feeding them, and the sweep that needs no signal."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Collection, Coroutine
from typing import Any, ClassVar
from uuid import UUID

from webedt.bus.interface import ABus, Commit, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.sessions import SessionStatus
from webedt.kernel import AService, Background, BaseService
from webedt.log.chunks import Chunk, TailKey, chunk_of
from webedt.log.replay import PAGE_BYTES, PAGE_ROWS, Replay
from webedt.log.tail import Reader, Tail
from webedt.telemetry.metrics import Metrics

SWEEP_SECONDS = 1.5
DEGRADED_SWEEP_SECONDS = 0.5


class ATails(AService):
    order: ClassVar[int] = -15

    @property
    @abstractmethod
    def replay(self) -> Replay:
        """Pages from the database, for whoever is behind a tail."""

    @abstractmethod
    def open(self, key: TailKey, reader: Reader) -> Tail:
        """Subscribe: from now on the tail is kept up to date. Then `refresh` it, read, and `join` its head."""

    @abstractmethod
    def close(self, tail: Tail, reader: Reader) -> None:
        """Leave. The last reader takes the tail with it."""

    @abstractmethod
    async def wait_beyond(self, session_id: UUID, cursor: int, seconds: float) -> None:
        """Return when the session has an event after `cursor`, or when the time is over."""

    @abstractmethod
    def committed(self, commit: Commit, *, settled: SessionStatus | None, at: float) -> None:
        """A commit of this replica, straight from the writer. `settled`: the session's status, if the statement showed
        that nothing is queued or running behind it."""

    @abstractmethod
    def wake(self, session_id: UUID) -> None:
        """The session may have changed."""


class Tails(BaseService, ATails):
    def __init__(self, metrics: Metrics, replay_concurrency: int) -> None:
        self._metrics = metrics
        self._concurrency = replay_concurrency
        self._tails: dict[UUID, dict[bool, Tail]] = {}
        self._sql = load_queries("events")
        self._background = Background()
        self._sweep_now = asyncio.Event()

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._replay = Replay(self._database, self._sql, self._metrics, self._concurrency)
        self._bus.subscribe(Topic.EVENTS, self._wake_many)
        self._bus.follow(self)
        self._bus.on_reconnect(self._sweep_now.set)
        for origin in ("local", "remote"):
            self._metrics.delivery_seconds.begin(origin)
        for kind in ("page", "tail"):
            self._metrics.log_reads.begin(kind)
        self._background.start("tails-sweep", self._sweep_for_ever())

    async def dispose(self) -> None:
        await self._background.stop()
        await super().dispose()

    @property
    def replay(self) -> Replay:
        return self._replay

    def open(self, key: TailKey, reader: Reader) -> Tail:
        tails = self._tails.setdefault(key.session_id, {})
        tail = tails.get(key.deltas)
        if tail is None:
            tail = tails[key.deltas] = Tail(key, self._read, self._spawn, self._pushed)
        tail.readers.add(reader)
        return tail

    def close(self, tail: Tail, reader: Reader) -> None:
        tail.leave(reader)
        tail.readers.discard(reader)
        tails = self._tails.get(tail.key.session_id, {})
        if not tail.readers and tails.get(tail.key.deltas) is tail:
            del tails[tail.key.deltas]
            if not tails:
                del self._tails[tail.key.session_id]

    async def wait_beyond(self, session_id: UUID, cursor: int, seconds: float) -> None:
        waiter = _Waiter()
        tail = self.open(TailKey(session_id, deltas=True), waiter)
        try:
            async with asyncio.timeout(seconds):
                await tail.refresh()
                while tail.position <= cursor and not tail.deleted:
                    waiter.woken.clear()
                    tail.join(waiter)
                    await waiter.woken.wait()
        except TimeoutError:
            pass
        finally:
            self.close(tail, waiter)

    def committed(self, commit: Commit, *, settled: SessionStatus | None, at: float) -> None:
        for tail in self._tails.get(commit.session_id, {}).values():
            tail.committed(chunk_of(commit, at, "local", deltas=tail.key.deltas), settled=settled)

    def carried(self, commit: Commit) -> bool:
        """A commit of another replica enters by the very door of our own. Whether all is quiet behind it may have
        changed since: that is read again, once a run."""
        tails = self._tails.get(commit.session_id, {})
        now = time.monotonic()
        for tail in tails.values():
            before = tail.position
            tail.committed(chunk_of(commit, now, "remote", deltas=tail.key.deltas), settled=None)
            if before == commit.first_seq - 1 and tail.position == commit.last_seq:
                self._metrics.bus_frames.inc(1, "used")
        return bool(tails)

    def grown(self, session_id: UUID, last_seq: int) -> bool:
        behind = [tail for tail in self._tails.get(session_id, {}).values() if not tail.has_heard_of(last_seq)]
        for tail in behind:
            tail.wake()
        return bool(behind)

    def wake(self, session_id: UUID) -> None:
        for tail in self._tails.get(session_id, {}).values():
            tail.wake()

    def _wake_many(self, session_ids: Collection[UUID]) -> None:
        for session_id in session_ids:
            self.wake(session_id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._background.start("tail", work)

    def _pushed(self, chunk: Chunk) -> None:
        self._metrics.delivery_seconds.observe(time.monotonic() - chunk.at, chunk.origin)

    async def _read(self, key: TailKey, position: int) -> Any:
        async with self._replay.slots:
            self._metrics.log_reads.inc(1, "tail")
            if position < 0:
                return await self._database.fetchrow(self._sql["read_head"], key.session_id)
            return await self._database.fetchrow(
                self._sql["read_tail"], key.session_id, position, PAGE_ROWS, PAGE_BYTES, key.deltas
            )

    async def _sweep_for_ever(self) -> None:
        """One question for all open tails, whether or not signals come in: none is ever later than this."""
        while True:
            self._sweep_now.clear()
            pause = SWEEP_SECONDS if self._bus.connected else DEGRADED_SWEEP_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await self._sweep_now.wait()
            except TimeoutError:
                pass
            if self._tails:
                try:
                    await self._sweep()
                except Exception as error:
                    self.log.debug("sweep_failed", error=repr(error))

    async def _sweep(self) -> None:
        rows = await self._database.fetch(self._sql["compare_positions"], list(self._tails))
        seen = {row["chat_session_id"]: row for row in rows}
        for session_id, tails in list(self._tails.items()):
            row = seen.get(session_id)
            for tail in tails.values():
                if row is None or row["last_seq"] > tail.position or row["deleted"] or row["idle"] != tail.idle:
                    tail.wake()


class _Waiter:
    """A reader that only wants to know that something came."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    def push(self, _chunk: Chunk) -> bool:
        self.woken.set()
        return False

    def wake(self) -> None:
        self.woken.set()
