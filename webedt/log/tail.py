"""The live end of one session's log on this replica, shared by all its readers here.

Invariants:
- `position` only grows, and every event at or below it is committed. A chunk enters only directly behind it.
- While a read of the database is under way nothing else enters: commits wait in `_arrived` and are sorted out
  afterwards (below the position: dropped; directly behind: enter; further on: read again, for another replica's prompt
  may stand between, and the answers of two commits may come in reverse).
- Commits of other replicas that come with their frames enter by the same door, and by no other.
- A wake-up carries no truth. It makes the tail read; what the read says is the truth.
- `idle` is true only while one statement has shown that nothing is queued or running and that its last id is
  `position`.
- A reader joins the head in the same step in which its cursor was seen to equal `position`; from then on every chunk is
  pushed to it, so nothing can fall between.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID

import structlog

from webedt.database.backoff import Backoff
from webedt.domain.sessions import SessionStatus
from webedt.log.chunks import Chunk, TailKey

RING_BYTES = 256 * 1024
MAX_ENDED_RUNS = 1000


class Reader(Protocol):
    """Who follows a tail. Both methods are called on the event loop, must be quick and must not raise."""

    def push(self, chunk: Chunk) -> bool:
        """Take a chunk at the head. False: this reader leaves the head (it is slow, or done) and was woken."""
        ...

    def wake(self) -> None:
        """Something about the tail changed that a reader at the head may have to look at: idle, or deleted."""
        ...


ReadTail = Callable[[TailKey, int], Awaitable[Any]]


class Tail:
    """`read(key, position)` is the statement `read_tail`, or `read_head` while the position is unknown; `spawn` runs a
    coroutine as a watched task; `pushed(chunk)` is called when a chunk went to readers at the head."""

    def __init__(
        self, key: TailKey, read: ReadTail, spawn: Callable[[Any], None], pushed: Callable[[Chunk], None]
    ) -> None:
        self.key = key
        self.position = -1
        self.idle = False
        self.deleted = False
        self.status: SessionStatus = "pending"
        self.readers: set[Reader] = set()
        self._read = read
        self._spawn = spawn
        self._pushed = pushed
        self._woken_at = 0.0
        self._head: dict[Reader, None] = {}
        self._ring: dict[int, Chunk] = {}
        self._ring_bytes = 0
        self._ended: dict[UUID, int] = {}
        self._arrived: list[tuple[Chunk, SessionStatus | None]] = []
        self._arrived_bytes = 0
        self._advancing = False
        self._dirty = False
        self._refreshing: list[asyncio.Future[None]] = []
        self._log = structlog.get_logger(component="Tail")

    # Readers ---------------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Return when a statement that began after this call has been read: the position is no older than now."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refreshing.append(future)
        self.wake()
        await future

    def chunk_after(self, cursor: int) -> Chunk | None:
        """The chunk directly behind `cursor`, if it is still here; else it is to be had from the database."""
        return self._ring.get(cursor)

    def end_of(self, run_id: UUID) -> int | None:
        """The id of the run's terminal event, if it passed here."""
        return self._ended.get(run_id)

    def join(self, reader: Reader) -> None:
        """Have every further chunk pushed to `reader`, whose cursor is exactly at the position."""
        self._head[reader] = None
        if len(self._head) == len(self.readers):
            self._drop_ring()  # nobody is behind

    def leave(self, reader: Reader) -> None:
        self._head.pop(reader, None)

    # What happens ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """The session may have changed: read. Many wake-ups while a read is under way cost one more read."""
        if not self._dirty:
            self._woken_at = time.monotonic()
        self._dirty = True
        if not self._advancing:
            self._advancing = True
            self._spawn(self._advance())

    def committed(self, chunk: Chunk, *, settled: SessionStatus | None) -> None:
        """A commit, of this replica or carried here from another one: it may come late, twice or out of order.
        `settled`: the session's status, if the commit's statement showed that nothing is queued or running behind it.
        """
        if self.position >= 0 and not self._advancing:
            if self._offer(chunk, settled):
                self.wake()
            return
        self._arrived.append((chunk, settled))
        self._arrived_bytes += len(chunk.payload)
        if self._arrived_bytes > RING_BYTES:
            self._forget_arrived()  # a read that takes so long reads these too
            self._dirty = True

    def has_heard_of(self, last_seq: int) -> bool:
        """Whether the event is here already, or has come and waits for the end of a read."""
        return self.position >= last_seq or any(chunk.last >= last_seq for chunk, _ in self._arrived)

    def _offer(self, chunk: Chunk, settled: SessionStatus | None) -> bool:
        """Let a commit enter if it is directly behind the position; returns whether to read instead."""
        if chunk.last <= self.position:
            return False
        if chunk.after != self.position:
            return True
        self._enter(chunk)
        if settled is not None:
            self.status = settled
            self._settle_idle()
        return bool(chunk.ended) and settled is None

    def _sort_out_arrived(self) -> None:
        arrived = sorted(self._arrived, key=lambda item: item[0].after)
        self._forget_arrived()
        for chunk, settled in arrived:
            if self._offer(chunk, settled):
                self._dirty = True

    def _forget_arrived(self) -> None:
        self._arrived, self._arrived_bytes = [], 0

    def _enter(self, chunk: Chunk) -> None:
        self.position = chunk.last
        self.idle = False
        if chunk.ended:
            self._ended.update(chunk.ended)
            while len(self._ended) > MAX_ENDED_RUNS:
                del self._ended[next(iter(self._ended))]
        if len(self._head) < len(self.readers):
            self._keep(chunk)
        if self._head:
            for reader in [reader for reader in self._head if not reader.push(chunk)]:
                self._head.pop(reader, None)
            self._pushed(chunk)

    def _keep(self, chunk: Chunk) -> None:
        self._ring[chunk.after] = chunk
        self._ring_bytes += len(chunk.payload)
        while self._ring_bytes > RING_BYTES:
            oldest = next(iter(self._ring))
            self._ring_bytes -= len(self._ring.pop(oldest).payload)

    def _drop_ring(self) -> None:
        self._ring.clear()
        self._ring_bytes = 0

    def _settle_idle(self) -> None:
        self.idle = True
        for reader in list(self._head):
            reader.wake()

    # Reading ---------------------------------------------------------------------------------------------------------

    async def _advance(self) -> None:
        """Read until the last statement says that the position is the end of the log and nobody asked meanwhile."""
        backoff = Backoff(0.05, 1.0)
        answering: list[asyncio.Future[None]] = []
        try:
            while self._dirty:
                self._dirty = False
                answering = [one for one in answering + self._refreshing if not one.done()]
                self._refreshing = []
                try:
                    row = await self._read(self.key, self.position)
                except Exception as error:
                    self._log.debug("tail_read_failed", error=repr(error))
                    if self.position >= 0:
                        self._sort_out_arrived()  # what follows directly need not wait for the database
                    self._dirty = bool(self.readers) or bool(answering)
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                if self._take(row):
                    self._dirty = True  # one page of several
                else:
                    _resolve(answering)
                    answering = []
                self._sort_out_arrived()
        finally:
            self._advancing = False
            self._refreshing += answering
            if self.position >= 0:
                self._sort_out_arrived()
            if self._dirty and self.readers:
                self.wake()

    def _take(self, row: Any) -> bool:
        """Take one answer of `read_tail`; returns whether there is more to read."""
        if row is None:
            self.deleted = True
            self._settle_idle()
            return False
        self.status = row["status"]
        if self.position < 0:
            # A new tail begins at the end of the log: what is before it, each reader gets from the database.
            self.position = row["last_seq"]
        elif row["last_seq"] > self.position:
            # An empty page behind the position: what is there was not asked for (deltas) or has been compacted.
            more = row["rows"] > 0 and row["page_last_seq"] < row["last_seq"]
            last = row["page_last_seq"] if more else row["last_seq"]
            ended = dict(zip(row["ended_runs"] or (), row["ended_seqs"] or (), strict=True))
            payload = row["frames"] or b""
            self._enter(Chunk(self.position, last, payload, row["rows"], ended, self._woken_at, "remote"))
            if more:
                return True
        if row["deleted"] != self.deleted:
            self.deleted = row["deleted"]
            for reader in list(self._head):
                reader.wake()
        if row["idle"] and not self.idle:
            self._settle_idle()
        elif not row["idle"]:
            self.idle = False
        return False


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
