"""One reader of one session's log: from its cursor through the database and the tail to the live end.

Three states, and the step between them that must not be torn apart:
- *behind*: the reader's own task writes chunks of the tail, or pages of the database, and waits for the socket;
- *at the head*: the task sleeps and the tail pushes each new chunk straight into the socket (one encoding, no task
  wake-up). A reader goes to the head only in the very step in which its cursor equals the tail's position;
- *over*: a frame is never left half-written; the last chunk and the end of the body go out, then the task ends.

Memory of a stream: what the socket does not take stands in the transport's buffer. Nothing more is put there while it
holds more than `HIGH_WATER`, so it is bounded by that and one chunk or page (`PAGE_BYTES` and the lines around them, or
one larger event).
"""

import asyncio
from enum import Enum
from typing import Any
from uuid import UUID

from aiohttp import HttpVersion11, web

from webedt.domain.errors import Unavailable
from webedt.domain.events import TYPES
from webedt.domain.frames import KEEP_ALIVE, chunked, control_frame, draining_frames, parse_cursor, retry_frame
from webedt.http.problems import SSE_HEADERS
from webedt.http.sockets import cut_dead_peers
from webedt.http.stream_registry import AStreams
from webedt.log.chunks import Chunk
from webedt.log.tail import Tail
from webedt.log.tails import ATails

EVENTS = (*TYPES, "caught_up", "reset", "draining")
HIGH_WATER = 64 * 1024
STALL_SECONDS = 90.0
GOODBYE_SECONDS = 3.0
UNAVAILABLE_PAUSE_SECONDS = 0.5


class Until(Enum):
    """When the server ends a stream by itself: nothing queued or running, this run's terminal event, or never."""

    IDLE = "idle"
    RUN = "run"
    NEVER = "never"


class Stalled(ConnectionResetError):
    """The peer took nothing for too long; its connection was cut."""


class LogStream:
    """A `Reader` of a tail and an `OpenStream` of the registry. Slots: there are thousands of them."""

    __slots__ = (
        *("_chunked", "_cursor", "_end_seq", "_farewell", "_over", "_patience", "_request", "_run_id", "_sleeping"),
        *("_streams", "_tails", "_transport", "_until", "_writer"),
    )

    def __init__(self, request: web.Request, tails: ATails, streams: AStreams, until: Until) -> None:
        self._request = request
        self._tails = tails
        self._streams = streams
        self._until = until
        self._cursor = 0
        self._end_seq: int | None = None
        self._run_id: UUID | None = None
        # Not an `asyncio.Event`, which brings a deque along: three quarters of a KiB for each stream.
        self._sleeping: asyncio.Future[None] | None = None
        self._over = False
        self._farewell = b""
        self._patience: asyncio.Timeout | None = None
        self._chunked = request.version >= HttpVersion11
        self._writer: Any = None
        self._transport: asyncio.Transport | None = None

    # The reader's task -----------------------------------------------------------------------------------------------

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

    async def send(self, tail: Tail, beginning: bytes, headers: dict[str, str]) -> web.StreamResponse:
        """Write the stream to its end. Raises `ConnectionResetError` when the peer is gone or stalled."""
        response = web.StreamResponse(headers={**SSE_HEADERS, **headers})
        self._transport = self._request.transport
        if self._transport is None:
            raise ConnectionResetError
        cut_dead_peers(self._transport, STALL_SECONDS)
        self._writer = await response.prepare(self._request)
        response.headers.clear()  # they are sent; kept, they are two KiB for as long as the stream is open
        await response.write(beginning)
        caught_up = False
        while not self._over:
            await self._catch_up(tail)
            if not caught_up and not self._over:
                caught_up = True
                self._write(control_frame("caught_up", {"lastEventId": self._cursor, "status": tail.status}))
            if self._at_end(tail):
                break
            if self._cursor == tail.position:
                tail.join(self)
                self._sleeping = asyncio.get_running_loop().create_future()
                await self._sleeping
                tail.leave(self)
            await self._drained()
        self._over = True  # from here on nobody else writes
        if self._farewell:
            self._write(self._farewell)
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await response.write_eof()
        except TimeoutError:
            self._abort()
        return response

    async def _catch_up(self, tail: Tail) -> None:
        while not self._over:
            if self._run_id is not None and self._end_seq is None:
                self._end_seq = tail.end_of(self._run_id)
            goal = tail.position if self._end_seq is None else min(tail.position, self._end_seq)
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
            transport.write(chunk.wire if self._chunked else chunk.payload)
            self._streams.sent += chunk.count
        self._cursor = chunk.last
        if end is not None or transport.get_write_buffer_size() > HIGH_WATER:
            self.wake()
            return False
        return True

    def wake(self) -> None:
        if self._sleeping is not None and not self._sleeping.done():
            self._sleeping.set_result(None)

    def keep_alive(self) -> None:
        transport = self._transport
        if self._writer is None or transport is None or self._over:
            return
        if transport.is_closing():
            self.wake()
        elif transport.get_write_buffer_size() == 0:
            self._write(KEEP_ALIVE)

    def finish(self, *, draining: bool) -> None:
        if not self._over:
            self._over = True
            self._farewell = draining_frames() if draining else b""
            self.wake()
            if self._patience is not None and not self._patience.expired():
                self._patience.reschedule(asyncio.get_running_loop().time() + GOODBYE_SECONDS)

    # The socket ------------------------------------------------------------------------------------------------------

    def _write(self, payload: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if payload:
            transport.write(chunked(payload) if self._chunked else payload)

    async def _drained(self) -> None:
        """Wait until the socket took most of what it was given; cut a peer that takes nothing for too long."""
        transport = self._transport
        while transport is not None and (waiting := transport.get_write_buffer_size()) > HIGH_WATER:
            try:
                async with asyncio.timeout(GOODBYE_SECONDS if self._over else STALL_SECONDS) as self._patience:
                    await self._writer.drain()
            except TimeoutError:
                if self._over or transport.get_write_buffer_size() >= waiting:
                    self._abort()
                    raise Stalled from None
            finally:
                self._patience = None

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
