"""The connection of an event stream that was taken from the HTTP server: writing, waiting for the socket, ending, loss.

A frame is never left half-written: the last chunk and the end of the body go out, then the socket is closed. What the
peer does not take stands in the transport's buffer; who has more to say waits in `drained` while that holds more than
`HIGH_WATER`. Knows nothing of what is said.
"""

import asyncio

from webedt.domain.frames import KEEP_ALIVE, LAST_CHUNK, chunked, draining_frames
from webedt.http.sockets import cut_dead_peers

HIGH_WATER = 64 * 1024
STALL_SECONDS = 90.0
GOODBYE_SECONDS = 3.0


class Stalled(ConnectionResetError):
    """The peer took nothing for too long; its connection was cut."""


class EventConnection(asyncio.Protocol):
    """The protocol of such a connection. Slots: there are thousands of them. asyncio calls `connection_lost` exactly
    once for each, whoever ended it.

    `is_chunked`: the body goes out in chunks of HTTP/1.1; else it ends with the connection. `over`: nothing more is
    said but the farewell, if there is one.
    """

    __slots__ = ("_deadline", "_farewell", "_is_chunked", "_over", "_patience", "_transport", "_writable")

    def __init__(self, *, is_chunked: bool) -> None:
        self._is_chunked = is_chunked
        self._over = False
        self._farewell = b""
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.Timeout | None = None
        self._writable: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def attach(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        cut_dead_peers(transport, STALL_SECONDS)

    def wake(self) -> None:
        """There is more to do than to be pushed to."""
        raise NotImplementedError

    def keep_alive(self) -> None:
        transport = self._transport
        if transport is None or self._over or transport.is_closing():
            return
        if transport.get_write_buffer_size() == 0:
            self._write(KEEP_ALIVE)

    def finish(self, *, draining: bool) -> None:
        if not self._over:
            self._over = True
            self._farewell = draining_frames() if draining else b""
            self.wake()
            if self._patience is not None and not self._patience.expired():
                self._patience.reschedule(asyncio.get_running_loop().time() + GOODBYE_SECONDS)
        elif self._deadline is not None:
            self._cut_in(GOODBYE_SECONDS)  # it is ending by itself, but there is less time for that now

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # For who speaks --------------------------------------------------------------------------------------------------

    def _write(self, payload: bytes) -> None:
        """Raises `ConnectionResetError` when the connection is lost or closing."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if payload:
            transport.write(chunked(payload) if self._is_chunked else payload)

    async def _drained(self) -> None:
        """Wait until the socket took most of what it was given; cut a peer that takes nothing for too long."""
        transport = self._transport
        while transport is not None and (waiting := transport.get_write_buffer_size()) > HIGH_WATER:
            self._writable = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(GOODBYE_SECONDS if self._over else STALL_SECONDS) as self._patience:
                    await self._writable
            except TimeoutError:
                if self._over or transport.get_write_buffer_size() >= waiting:
                    self.cut()
                    raise Stalled from None
            finally:
                self._patience = self._writable = None

    def _end(self) -> None:
        """The body ends, and with it the connection, once everything went out; a peer that takes nothing is cut."""
        self._write(self._farewell)
        told, self._over = self._over, True
        if self._transport is not None:
            if self._is_chunked:
                self._transport.write(LAST_CHUNK)
            self._transport.close()
            self._cut_in(GOODBYE_SECONDS if told else STALL_SECONDS)

    def _cut_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.cut)

    # What asyncio says -----------------------------------------------------------------------------------------------

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Nobody listens: the answer said that it is the last of this connection."""

    def connection_lost(self, error: BaseException | None) -> None:
        self._over = True
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
