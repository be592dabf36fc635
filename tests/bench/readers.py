"""The load generator: many SSE readers in one process, as cheap as they can be, that believe no id.

While it measures, a reader notes what came and when, and the newest id. Afterwards `arrivals` looks at every byte: the
ids must follow each other without a hole, so that a fast wrong answer fails instead of winning.
"""

import asyncio
import contextlib
import gc
import json
import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

_ID = re.compile(rb"\nid: (\d+)\n")
_SESSION = re.compile(rb"\r\nX-Session-ID: ([0-9a-f-]{36})\r\n", re.IGNORECASE)
# More connections at once than this would measure the backlog of the listening socket.
AT_ONCE = 64


class Reader(asyncio.Protocol):
    """Sends one request and reads. `done` has its time when `until` came or the connection was closed."""

    def __init__(self, request: bytes, until: bytes | None) -> None:
        self._request = request
        self._until = until
        self._rest = b""
        self._pieces: list[bytes] = []
        self._times: list[float] = []
        self.last_id = 0
        self.done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        # Something of the body is here: an answer's head alone is not yet a stream.
        self.beginning: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._times.append(now)
        self._pieces.append(data)
        text = self._rest + data
        start = text.rfind(b"\nid: ")
        if start >= 0 and (match := _ID.match(text, start)):
            self.last_id = int(match[1])
        self._rest = text[-64:]
        if not self.beginning.done() and b"retry: " in text:
            self.beginning.set_result(None)
        if self._until is not None and self._until in text and not self.done.done():
            self.done.set_result(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(time.time())
        if not self.beginning.done():
            self.beginning.set_exception(ConnectionError("closed before it began"))
            self.beginning.exception()  # whoever waits is told; nobody need wait

    @property
    def began(self) -> bool:
        return self.beginning.done()

    @property
    def ended(self) -> float:
        """When the newest piece came."""
        return self._times[-1]

    @property
    def session_id(self) -> str:
        found = _SESSION.search(self._pieces[0])
        if found is None:
            raise AssertionError(f"no session in {self._pieces[0]!r}")
        return found[1].decode()

    def arrivals(self, after: int, last: int | None = None) -> dict[int, float]:
        """When each event came. Raises `AssertionError` unless the ids are `after` + 1, + 2, … up to `last`."""
        text = b"".join(self._pieces)
        if not text.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(f"not a stream: {text[:300]!r}")
        ends = list(accumulate(map(len, self._pieces)))
        found = {int(match[1]): self._times[bisect_right(ends, match.end() - 1)] for match in _ID.finditer(text)}
        ids = [int(one) for one in _ID.findall(text)]
        if ids != list(range(after + 1, after + 1 + len(ids))) or (last is not None and after + len(ids) != last):
            raise AssertionError(f"{len(ids)} ids, {ids[:3]} to {ids[-3:]}; expected {after + 1} to {last}")
        return found


def get(port: int, path: str, headers: dict[str, str]) -> bytes:
    return _head("GET", port, path, headers)


def post(port: int, path: str, headers: dict[str, str], body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    length = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    return _head("POST", port, path, {**headers, **length}) + content


def _head(method: str, port: int, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def connect(
    port: int, request: bytes, *, count: int = 1, until: bytes | None = None, begun: bool = False
) -> list[Reader]:
    """Open `count` connections, `AT_ONCE` at a time; `begun`: the next one only when the answer of one has begun."""
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(AT_ONCE)

    async def one() -> Reader:
        async with slots:
            _, reader = await loop.create_connection(lambda: Reader(request, until), "127.0.0.1", port)
            if begun:
                await reader.beginning
            return reader

    return list(await asyncio.gather(*(one() for _ in range(count))))


def close(readers: Sequence[Reader]) -> None:
    for one in readers:
        one.transport.abort()


async def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - any condition
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds:g} s") from None


async def all_at(readers: Sequence[Reader], last: int) -> None:
    """Wait until every reader has the event `last`."""
    waiting = list(readers)

    def arrived() -> bool:
        waiting[:] = [one for one in waiting if one.last_id < last]
        return not waiting

    await wait_until(arrived, f"{len(readers)} readers at {last}")


async def all_begun(readers: Sequence[Reader]) -> None:
    waiting = list(readers)

    def begun() -> bool:
        waiting[:] = [one for one in waiting if not one.began]
        return not waiting

    await wait_until(begun, f"{len(readers)} streams begun")


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Thousands of readers make a full collection take long enough to be seen as latency of the server."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
