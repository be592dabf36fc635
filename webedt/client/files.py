"""The files of a session: listed, and streamed in both directions, never whole in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from webedt.client.transport import Transport

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way: its bytes in pieces, and their number if the server said it."""

    chunks: AsyncIterator[bytes]
    size: int | None


class Files:
    """Paths are relative to the session's own space, with slashes. Every method may raise what `WebEDTClient` does."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, session_id: str) -> dict[str, Any]:
        """`{"files": [{"path", "size", "modifiedAt"}], "usedBytes", "quotaBytes"}`."""
        return (await self._transport.fetch("GET", _path(session_id))).body

    @asynccontextmanager
    async def open(self, session_id: str, path: str) -> AsyncIterator[Download]:
        """Read a file. A connection that breaks raises ConnectionFailed while the chunks are read."""
        async with self._transport.open_bytes("GET", _path(session_id, path)) as response:
            yield Download(response.content.iter_chunked(CHUNK_BYTES), response.content_length)

    async def put(self, session_id: str, path: str, chunks: AsyncIterator[bytes], size: int | None = None) -> None:
        """Write a file in place of what was there. `size`: how many bytes will come, if that is known."""
        headers = {"Content-Type": "application/octet-stream"}
        if size is not None:
            headers["Content-Length"] = str(size)
        async with self._transport.open_bytes("PUT", _path(session_id, path), data=chunks, headers=headers):
            pass

    async def remove(self, session_id: str, path: str) -> None:
        """Delete a file. Raises NotFound if there is none."""
        await self._transport.fetch("DELETE", _path(session_id, path))


def _path(session_id: str, path: str | None = None) -> str:
    base = f"/api/sessions/{quote(session_id, safe='')}/files"
    return base if path is None else f"{base}/{quote(path, safe='/')}"
