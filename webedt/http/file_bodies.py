"""The bytes of files on their way: from a client piece by piece, to a client slice by slice, and never for ever.

Memory is bounded both ways, for nothing is read before what came before it is gone. A login that ends, ends the
transfers that it began.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import HttpVersion11, web

from webedt.domain.errors import InvalidRequest, NotFound, Unauthenticated, Unavailable
from webedt.domain.users import Principal
from webedt.http.application import CONTINUE
from webedt.services.access import AAccess
from webedt.storage.interface import ObjectMissing

PIECE_BYTES = 1024 * 1024
SLICE_BYTES = 64 * 1024
# A client that sends or takes nothing for so long is gone.
IDLE_SECONDS = 60.0
# What came so slowly is handed on although it is little: an upload must be heard of.
GATHER_SECONDS = 20.0
LOOK_SECONDS = 2.0


class Watch:
    """Whether who began a transfer may still go on with it, asked now and then."""

    def __init__(self, access: AAccess, who: Principal) -> None:
        self._access = access
        self._login_id = who.pass_id
        self._looked_at = time.monotonic()

    async def look(self) -> None:
        """Raises `Unauthenticated` once the login has ended."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            valid = await self._access.still_valid([self._login_id])
        except Unavailable:
            return  # nobody is thrown out because the database cannot be asked
        if self._login_id not in valid:
            raise Unauthenticated("The login has ended.")


async def pieces_of(request: web.Request, watch: Watch) -> AsyncIterator[bytes]:
    """The body in pieces of about `PIECE_BYTES`. Raises `InvalidRequest` when it does not come whole."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == CONTINUE:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp does: this was no part of the answer
    gathered, size, since = [], 0, time.monotonic()
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await request.content.readany()
            gathered.append(chunk)
            size += len(chunk)
            if size >= PIECE_BYTES or not chunk or time.monotonic() - since > GATHER_SECONDS:
                await watch.look()
                if size:
                    yield b"".join(gathered)
                gathered, size, since = [], 0, time.monotonic()
            if not chunk:
                return
    except TimeoutError:
        raise InvalidRequest(f"Nothing of the body came for {IDLE_SECONDS:g} seconds.") from None
    except (web.RequestPayloadError, ConnectionError):
        raise InvalidRequest("The body did not come whole.") from None


async def send(
    response: web.StreamResponse,
    first: bytes,
    rest: tuple[int, int],
    read: Callable[[int, int], Awaitable[bytes]],
    watch: Watch,
) -> int:
    """Write `first`, then what `read` gives for the bytes of `rest`; how many were sent. Raises when the client takes
    nothing, when the login ends, and when the content is there no more: an answer has begun, so the connection is cut.
    """
    sent, (start, end) = 0, rest
    piece = first
    while piece:
        for offset in range(0, len(piece), SLICE_BYTES):
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await response.write(piece[offset : offset + SLICE_BYTES])
            except TimeoutError:
                raise InvalidRequest(f"Nothing was taken for {IDLE_SECONDS:g} seconds.") from None
            await watch.look()
        sent += len(piece)
        try:
            piece = await read(start, min(end, start + PIECE_BYTES)) if start < end else b""
        except ObjectMissing:
            raise NotFound("The file was replaced or removed meanwhile.") from None
        start += len(piece)
    return sent
