"""A client of a session's stream without HTTP: the real `LogStream`, writing to a socket that the test lets flow."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

from tests.support.log_harness import Logged, parse_frames
from webedt.http.log_stream import LogStream, Until
from webedt.kernel import Background
from webedt.log.chunks import TailKey
from webedt.log.tails import ATails

EndOf = Callable[[UUID], Awaitable[int | None]]


class Socket(asyncio.Transport):
    """A client's socket: takes what it is given, or lets it pile up."""

    def __init__(self) -> None:
        super().__init__()
        self._given = bytearray()
        self._taken = 0
        self._flowing = True
        self._protocol = asyncio.Protocol()
        self._closing = False
        self.aborted = False
        self.lost = asyncio.Event()

    @property
    def received(self) -> bytes:
        return bytes(self._given[: self._taken])

    def flow(self, *, on: bool) -> None:
        self._flowing = on
        if on:
            self._taken = len(self._given)
            self._protocol.resume_writing()
            self._settle()

    def write(self, data: Any) -> None:
        self._given += data
        if self._flowing:
            self._taken = len(self._given)

    def get_write_buffer_size(self) -> int:
        return len(self._given) - self._taken

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Closed once everything was taken."""
        self._closing = True
        self._settle()

    def abort(self) -> None:
        self._closing = self.aborted = True
        self._settle()

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def _settle(self) -> None:
        if self._closing and not self.lost.is_set() and (self.aborted or self._taken == len(self._given)):
            self.lost.set()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Registry:
    """What a stream asks of the registry, and its place there."""

    def __init__(self) -> None:
        self.sent = 0
        self.working = Background()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.working.start("stream", work)

    def leave(self) -> None:
        pass


class StreamClient:
    """A client that comes back where it left: all that it saw, over its connections, is `seen`.

    `end_of(run_id)` is the id of a run's terminal event, if it has one; asked for by streams of one run.
    """

    def __init__(
        self,
        session_id: UUID,
        until: Until,
        *,
        deltas: bool = True,
        cursor: int = 0,
        run_id: UUID | None = None,
        end_of: EndOf | None = None,
    ) -> None:
        self.until = until
        self.deltas = deltas
        self.run_id = run_id
        self.began_behind = cursor
        self.ended_by_server = False
        self.failure: BaseException | None = None
        self.socket = Socket()
        self._before: list[Logged] = []
        self._key = TailKey(session_id, deltas)
        self._end_of = end_of
        self._task: asyncio.Task[None] | None = None

    @property
    def seen(self) -> list[Logged]:
        return self._before + self._received()

    @property
    def cursor(self) -> int:
        seen = self.seen
        return seen[-1].id if seen else self.began_behind

    @property
    def connected(self) -> bool:
        return self._task is not None and not self._task.done()

    def connect(self, tails: ATails) -> None:
        """Open the stream where it was left, unless it is open or the server has ended it."""
        if not self.connected and not self.ended_by_server:
            self._before, self.socket = self.seen, Socket()
            self._task = asyncio.create_task(self._read(tails))

    async def disconnect(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ended(self, seconds: float = 10.0) -> list[Logged]:
        """All that it saw, once the server has ended the stream."""
        assert self._task is not None
        await asyncio.wait_for(self._task, seconds)
        assert self.failure is None, self.failure
        return self.seen

    def _received(self) -> list[Logged]:
        """What came over the present connection as whole frames."""
        payload = self.socket.received
        assert b"event: reset" not in payload
        return parse_frames(payload[: payload.rfind(b"\n\n") + 2])

    async def _read(self, tails: ATails) -> None:
        try:
            await self._serve(tails)
            self.ended_by_server = True
        except Exception as error:
            self.failure = error

    async def _serve(self, tails: ATails) -> None:
        """As the handlers of the streams do it; returns when the connection is lost."""
        streams: Any = Registry()
        stream = LogStream(tails, streams, self.until, is_chunked=False)
        after = self.cursor
        tail = tails.open(self._key, stream)
        try:
            await tail.refresh()
            if self.run_id is not None:
                end_seq = None if self._end_of is None else await self._end_of(self.run_id)
                beginning = stream.begin_with_run(self.run_id, after + 1, end_seq)
            else:
                beginning = stream.begin_at(str(after), tail)
                if self.until is Until.IDLE and stream.nothing_to_say(tail):
                    tails.close(tail, stream)
                    return
        except BaseException:
            tails.close(tail, stream)
            raise
        self.socket.write(beginning)
        self.socket.set_protocol(stream)
        stream.start(self.socket, tail, streams)
        try:
            await self.socket.lost.wait()
        except asyncio.CancelledError:
            self.socket.abort()
            raise
        finally:
            await streams.working.drain(5.0)
