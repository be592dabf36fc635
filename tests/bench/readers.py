"""Many SSE readers in one process, as cheap as they can be: raw protocols that look for ids in bytes."""

import asyncio
import re
import time

_ID = re.compile(rb"(?:^|\n)id: (\d+)\n")


class Reader(asyncio.Protocol):
    """Sends one GET and reads. `last_id`, `bytes`, and, with `record`, when each id came (monotonic and wall time)."""

    def __init__(self, request: bytes, *, record: bool = False, until: bytes | None = None) -> None:
        self._request = request
        self._until = until
        self._rest = b""
        self.last_id = 0
        self.bytes = 0
        self.seen: dict[int, float] | None = {} if record else None
        self.first_byte_at: float | None = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if self.first_byte_at is None:
            self.first_byte_at = now
        self.bytes += len(data)
        text = self._rest + data
        if self.seen is None:
            start = text.rfind(b"\nid: ")
            if start >= 0 and (match := _ID.match(text, start)):
                self.last_id = int(match[1])
        else:
            for match in _ID.finditer(text):
                self.last_id = int(match[1])
                self.seen.setdefault(self.last_id, now)
        self._rest = text[-64:]
        if self._until is not None and self._until in text and not self.done.done():
            self.done.set_result(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(time.time())


def request(port: int, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def connect(
    port: int, path: str, headers: dict[str, str], *, record: bool = False, until: bytes | None = None
) -> Reader:
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(
        lambda: Reader(request(port, path, headers), record=record, until=until), "127.0.0.1", port
    )
    return reader
