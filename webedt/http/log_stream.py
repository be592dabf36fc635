"""One reader of one session's log: from its cursor through the database and the tail to the live end.

Four states, and the step between them that must not be torn apart:
- *behind*: a task of its own writes chunks of the tail, or pages of the database, and waits for the socket;
- *at the head*: no task; the tail pushes each new chunk straight into the socket (one encoding, no wake-up). A reader
  goes to the head only in the very step in which its cursor equals the tail's position, and its task ends with that
  step; whatever is more than a push wakes it, which is a new task;
- *over*: the body ends, and with it the connection (`webedt.http.event_connection`);
- *lost*: asyncio says so exactly once of every connection, whoever ended it; there alone everything is given back.

The stream is the protocol of its connection: the HTTP server has let go of it (`webedt.http.takeover`), so that at rest
it costs a socket and a cursor, and no request, handler or parser.

Memory of a stream: what the socket does not take stands in the transport's buffer. Nothing more is put there while it
holds more than `HIGH_WATER`, so it is bounded by that and one chunk or page (`PAGE_BYTES` and the lines around them, or
one larger event).
"""

import asyncio
from enum import Enum
from typing import Protocol
from uuid import UUID

import structlog

from webedt.domain.errors import Unavailable
from webedt.domain.events import TYPES
from webedt.domain.frames import control_frame, parse_cursor, retry_frame
from webedt.http.event_connection import HIGH_WATER, EventConnection
from webedt.http.stream_registry import AStreams
from webedt.log.chunks import Chunk
from webedt.log.tail import Tail
from webedt.log.tails import ATails

EVENTS = (*TYPES, "caught_up", "reset", "draining")
UNAVAILABLE_PAUSE_SECONDS = 0.5


class Until(Enum):
    """When the server ends a stream by itself: nothing queued or running, this run's terminal event, or never."""

    IDLE = "idle"
    RUN = "run"
    NEVER = "never"


class Held(Protocol):
    """What the stream gives back when it is lost."""

    def leave(self) -> None: ...


class LogStream(EventConnection):
    """A `Reader` of a tail and an `OpenStream` of the registry."""

    __slots__ = (
        "_caught_up",
        "_cursor",
        "_end_seq",
        "_place",
        "_run_id",
        "_streams",
        "_tail",
        "_tails",
        "_task",
        "_until",
    )

    def __init__(self, tails: ATails, streams: AStreams, until: Until, *, is_chunked: bool) -> None:
        super().__init__(is_chunked=is_chunked)
        self._tails = tails
        self._streams = streams
        self._until = until
        self._cursor = 0
        self._end_seq: int | None = None
        self._run_id: UUID | None = None
        self._caught_up = False
        self._tail: Tail | None = None
        self._place: Held | None = None
        self._task: asyncio.Task[None] | None = None

    # Before it begins ------------------------------------------------------------------------------------------------

    def begin_at(self, value: str | None, tail: Tail) -> bytes:
        """Set the cursor from a `Last-Event-ID`; returns the frames that the stream begins with."""
        self._cursor, reason = parse_cursor(value, tail.position)
        return retry_frame() + (control_frame("reset", {"reason": reason}) if reason else b"")

    def begin_with_run(self, run_id: UUID, prompt_seq: int, end_seq: int | None) -> bytes:
        """Read one run, from its prompt to its terminal event."""
        self._run_id = run_id
        self._cursor = prompt_seq - 1
        self._end_seq = end_seq
        return retry_frame()

    def nothing_to_say(self, tail: Tail) -> bool:
        """Nothing after the cursor, nothing running or queued: what 204 is for."""
        return tail.idle and self._cursor == tail.position

    def start(self, transport: asyncio.Transport, tail: Tail, place: Held) -> None:
        """Read on, behind the head and the beginning that were written. From now on the connection is the stream's,
        and so are the tail that was opened for it and its place; it gives them back when the connection is lost."""
        self.attach(transport)
        self._tail = tail
        self._place = place
        self.wake()

    # The reader's task, while there is more to do than to be pushed to ------------------------------------------------

    def wake(self) -> None:
        if self._task is None and self._tail is not None and self._transport is not None:
            self._task = self._streams.spawn(self._go_on(self._tail))

    async def _go_on(self, tail: Tail) -> None:
        try:
            tail.leave(self)
            await self._drained()
            while True:
                await self._catch_up(tail)
                if not self._caught_up and not self._over:
                    self._caught_up = True
                    self._write(control_frame("caught_up", {"lastEventId": self._cursor, "status": tail.status}))
                if self._at_end(tail):
                    self._end()
                    return
                if self._cursor == tail.position:
                    # To the head, and the task away, in one step: who is pushed to or woken from now on is at rest.
                    tail.join(self)
                    self._task = None
                    return
                await self._drained()
        except ConnectionResetError:
            pass  # `connection_lost` has come, or is on its way
        except Exception as error:
            structlog.get_logger(component="LogStream").error("stream_failed", exc_info=error)
            # It has begun: another answer into it would be garbage, and a cut is what its reader resumes from.
            self.cut()

    async def _catch_up(self, tail: Tail) -> None:
        while not self._over:
            goal = self._goal(tail)
            if self._cursor >= goal:
                return
            chunk = tail.chunk_after(self._cursor)
            if chunk is not None and chunk.last <= goal:
                self._write(chunk.payload)
                self._streams.sent += chunk.count
                self._cursor = chunk.last
            else:
                await self._write_page(tail, goal)
            await self._drained()

    def _goal(self, tail: Tail) -> int:
        """How far to go now. The terminal event of a run is the last word of its stream: `caught_up` comes before it,
        also where the run was over first."""
        if self._run_id is not None and self._end_seq is None:
            self._end_seq = tail.end_of(self._run_id)
        if self._end_seq is None:
            return tail.position
        return min(tail.position, self._end_seq if self._caught_up else self._end_seq - 1)

    async def _write_page(self, tail: Tail, goal: int) -> None:
        try:
            page = await self._tails.replay.page(tail.key, self._cursor, goal)
        except Unavailable:
            # The reader stays; keep-alives go on while the database is away.
            await asyncio.sleep(UNAVAILABLE_PAUSE_SECONDS)
            return
        self._write(page.payload)
        self._streams.sent += page.rows
        self._cursor = page.last

    def _at_end(self, tail: Tail) -> bool:
        # Also told to end while it waited for the socket or the database: the wake-up of that must not be forgotten.
        if self._over or tail.deleted:
            return True
        match self._until:
            case Until.IDLE:
                return self.nothing_to_say(tail)
            case Until.RUN:
                return self._end_seq is not None and self._cursor >= self._end_seq
        return False

    # What others do to it --------------------------------------------------------------------------------------------

    def push(self, chunk: Chunk) -> bool:
        """The tail's: write a chunk at the head. False: this reader leaves the head and its task goes on."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._over:
            self.wake()
            return False
        end = None if self._run_id is None else chunk.ended.get(self._run_id)
        if end is not None and end < chunk.last:
            self.wake()  # this chunk goes on beyond the run: the task takes from the database what belongs to it
            return False
        if chunk.payload:
            transport.write(chunk.wire if self._is_chunked else chunk.payload)
            self._streams.sent += chunk.count
        self._cursor = chunk.last
        if end is not None or transport.get_write_buffer_size() > HIGH_WATER:
            self.wake()
            return False
        return True

    def connection_lost(self, error: BaseException | None) -> None:
        super().connection_lost(error)
        if self._task is not None:
            self._task.cancel()
        if self._tail is not None:
            self._tails.close(self._tail, self)
        if self._place is not None:
            self._place.leave()
        self._task = self._tail = self._place = None
