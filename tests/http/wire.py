"""HTTP/1.1 and SSE read by hand, strictly: a client library would forgive what these tests are there to find."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

PATIENCE_SECONDS = 15.0
Headers = Mapping[str, str]


class Head:
    """Status line and header fields of an answer."""

    def __init__(self, raw: bytes) -> None:
        lines = raw.decode("latin-1").split("\r\n")
        self.version, status, *_ = lines[0].split(" ", 2)
        self.status = int(status)
        self.fields: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon and name == name.strip() and name, f"not a header field: {line!r}"
            self.fields.append((name.lower(), value.strip()))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name: str) -> str | None:
        """The one value of a field; fails when it was sent twice."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, f"{name} is missing in {self.fields}"
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


@dataclass(frozen=True)
class Answer:
    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def json(self) -> Any:
        assert self.head["Content-Type"].split(";")[0] in ("application/json", "application/problem+json")
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, every member of which is looked at."""
        assert self.head["Content-Type"] == "application/problem+json", self.body[:300]
        problem = json.loads(self.body)
        assert {"type", "title", "status", "code", "detail", "requestId"} <= problem.keys()
        assert problem.keys() <= {"type", "title", "status", "code", "detail", "requestId", "errors"}
        assert problem["status"] == self.status
        assert problem["requestId"] == self.head["X-Request-ID"]
        assert all(isinstance(problem[name], str) and problem[name] for name in ("type", "title", "code", "detail"))
        code: str = problem["code"]
        return code

    @property
    def cookie(self) -> str | None:
        return self.head.get("Set-Cookie")


@dataclass
class Frame:
    """One block of an event stream. `lines` are its fields as sent, comments included."""

    lines: list[str] = field(default_factory=list)

    def value(self, name: str) -> str | None:
        values = [line.partition(": ")[2] for line in self.lines if line.startswith(f"{name}: ")]
        assert len(values) <= 1, f"two {name} in one frame: {self.lines}"
        return values[0] if values else None

    @property
    def id(self) -> int | None:
        value = self.value("id")
        return None if value is None else int(value)

    @property
    def event(self) -> str | None:
        return self.value("event")

    @property
    def data(self) -> Any:
        value = self.value("data")
        assert value is not None, self.lines
        return json.loads(value)

    @property
    def retry(self) -> int | None:
        value = self.value("retry")
        return None if value is None else int(value)

    @property
    def is_comment(self) -> bool:
        return all(line.startswith(":") for line in self.lines)


class Connection:
    """One socket. Requests go out as they are given; answers are taken in order."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._chunked = False
        self._left: int | None = None

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port, limit=64 * 1024 * 1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    def request(
        self, method: str, path: str, headers: Headers, body: bytes | None = None, version: str = "HTTP/1.1"
    ) -> None:
        fields = dict(headers)
        if body is not None and "Transfer-Encoding" not in fields:
            fields.setdefault("Content-Length", str(len(body)))
        fields.setdefault("Host", f"127.0.0.1:{self._port}")
        lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in fields.items())]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    async def head(self) -> Head:
        """Up to the body. Whatever is not 100 Continue."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                head = Head((await self.reader.readuntil(b"\r\n\r\n"))[:-4])
                if head.status != 100:
                    break
        self._chunked = head.get("Transfer-Encoding") == "chunked"
        assert not (self._chunked and "Content-Length" in head)
        length = head.get("Content-Length")
        self._left = None if length is None else int(length)
        return head

    async def body(self, head: Head, method: str) -> bytes:
        if method == "HEAD" or head.status in (204, 304):
            return b""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, to its proper end. Raises `IncompleteReadError` when it is cut."""
        if self._chunked:
            while True:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
                    piece = await self.reader.readexactly(size)
                    assert await self.reader.readexactly(2) == b"\r\n"
                if not size:
                    return
                yield piece
        elif self._left is not None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield await self.reader.readexactly(self._left)
        else:
            while True:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    piece = await self.reader.read(65536)
                if not piece:
                    return
                yield piece

    async def is_closed_by_peer(self) -> bool:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read(1) == b""


class Stream:
    """An open event stream: its head, then frame by frame."""

    def __init__(self, connection: Connection, head: Head) -> None:
        self.connection = connection
        self.head = head
        self.raw = b""
        self.seen: list[Frame] = []
        self._pieces = connection.pieces()
        self._rest = b""

    @property
    def status(self) -> int:
        return self.head.status

    async def next(self) -> Frame | None:
        """The next frame that is not a comment, or None at the proper end. A frame cut in two fails."""
        while True:
            block, found, rest = self._rest.partition(b"\n\n")
            if found:
                self._rest = rest
                frame = Frame(block.decode().split("\n"))
                assert b"\r" not in block
                if not frame.is_comment:
                    self.seen.append(frame)
                    return frame
                continue
            piece = await anext(self._pieces, None)
            if piece is None:
                assert not self._rest, f"the stream ended within a frame: {self._rest!r}"
                return None
            self.raw += piece
            self._rest += piece

    async def until(self, wanted: str | Callable[[Frame], bool]) -> list[Frame]:
        """Frames up to and with the first whose event is `wanted`; fails when the stream ends before."""
        taken: list[Frame] = []
        while (frame := await self.next()) is not None:
            taken.append(frame)
            if frame.event == wanted if isinstance(wanted, str) else wanted(frame):
                return taken
        raise AssertionError(f"the stream ended without {wanted}: {[one.event for one in taken]}")

    async def rest(self) -> list[Frame]:
        """All frames to the clean end."""
        taken: list[Frame] = []
        while (frame := await self.next()) is not None:
            taken.append(frame)
        return taken


def logged(frames: list[Frame]) -> list[Frame]:
    """The frames that belong to the log."""
    return [frame for frame in frames if frame.id is not None]


def ids(frames: list[Frame]) -> list[int]:
    return [frame.id for frame in frames if frame.id is not None]


def events(frames: list[Frame]) -> list[str | None]:
    return [frame.event for frame in frames if frame.event is not None]
