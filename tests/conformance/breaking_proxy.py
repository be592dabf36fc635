"""A proxy in front of a replica that breaks one rule of the wire: what the conformance run must find.

It reads requests and answers whole or frame by frame, lets a `Mutation` spoil them, and sends them on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Block = bytes
MAX_HEAD_BYTES = 256 * 1024


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def route(self) -> str:
        return self.path.partition("?")[0]

    @property
    def resumes(self) -> bool:
        return self.method == "GET" and self.route.startswith("/api/resume/")

    def drop(self, name: str) -> None:
        """Remove a header field."""
        self.headers = {key: value for key, value in self.headers.items() if key.lower() != name.lower()}


@dataclass
class Answer:
    """`headers` are a list, for `Set-Cookie` may come twice. `body` is None for a stream."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | None = None

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def put(self, name: str, value: str | None) -> None:
        """Replace a field, or remove it."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


@dataclass(frozen=True)
class Mutation:
    """`request` and `answer` may change what they are given. `frames(request)` makes, for each stream, a function from
    one frame to the frames that are sent instead; with None it is asked for what it still holds at the end."""

    request: Callable[[Request], None] = lambda _request: None
    answer: Callable[[Request, Answer], None] = lambda _request, _answer: None
    frames: Callable[[Request], Callable[[Block | None], list[Block]]] | None = None
    cut_streams: bool = field(default=False)


@asynccontextmanager
async def breaking_proxy(port: int, mutation: Mutation) -> AsyncIterator[str]:
    """The URL of a proxy to the replica at `port`, for the time of the block."""
    busy: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        try:
            await _serve(port, mutation, reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # one of the two sides left, or the test is over
        finally:
            busy.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(busy):
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await server.wait_closed()


async def _serve(port: int, mutation: Mutation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await _read_request(reader)
    mutation.request(request)
    upstream, to_upstream = await asyncio.open_connection("127.0.0.1", port, limit=MAX_HEAD_BYTES)
    try:
        fields = {**request.headers, "Connection": "close"}
        if request.body or "content-length" not in {name.lower() for name in fields}:
            fields = {name: value for name, value in fields.items() if name.lower() != "content-length"}
            if request.body or request.method != "GET":
                fields["Content-Length"] = str(len(request.body))
        lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        to_upstream.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body)
        answer = await _read_head(upstream)
        chunked = answer.get("Transfer-Encoding") == "chunked"
        if chunked:
            answer.put("Transfer-Encoding", None)
        elif answer.status != 204:
            answer.body = await upstream.readexactly(int(answer.get("Content-Length") or 0))
        mutation.answer(request, answer)
        if chunked and answer.body is None:
            await _send_stream(mutation, request, answer, _chunks(upstream), reader, writer)
        else:
            _send_whole(answer, writer)
            await writer.drain()
            writer.write_eof()
            await reader.read()
    finally:
        to_upstream.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(next((value for name, value in headers.items() if name.lower() == "content-length"), "0"))
    return Request(method, path, headers, await reader.readexactly(length) if length < MAX_HEAD_BYTES else b"")


async def _read_head(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Answer(int(first.split(" ")[1]), [field for field in fields if field[0].lower() != "connection"])


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
        yield (await reader.readexactly(size + 2))[:-2]


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in answer.headers)]
    return "\r\n".join([*lines, "Connection: close"]).encode("latin-1") + b"\r\n\r\n"


def _send_whole(answer: Answer, writer: asyncio.StreamWriter) -> None:
    body = answer.body or b""
    if answer.status != 204:
        answer.put("Content-Length", str(len(body)))
    writer.write(_head(answer) + body)


async def _send_stream(
    mutation: Mutation,
    request: Request,
    answer: Answer,
    chunks: AsyncIterator[bytes],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    spoil = mutation.frames(request) if mutation.frames else lambda block: [] if block is None else [block]
    answer.put("Transfer-Encoding", "chunked")
    writer.write(_head(answer))
    left = asyncio.create_task(reader.read())  # the client hangs up
    pump = asyncio.create_task(_pump(spoil, chunks, writer))
    try:
        await asyncio.wait({left, pump}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
            if not mutation.cut_streams:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                writer.write_eof()
                await left
    finally:
        left.cancel()
        pump.cancel()
        with contextlib.suppress(OSError, EOFError):
            await asyncio.gather(left, pump, return_exceptions=True)


async def _pump(
    spoil: Callable[[Block | None], list[Block]], chunks: AsyncIterator[bytes], writer: asyncio.StreamWriter
) -> None:
    rest = b""
    async for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        _write(writer, [spoiled for block in blocks for spoiled in spoil(block + b"\n\n")])
        await writer.drain()
    _write(writer, spoil(None))


def _write(writer: asyncio.StreamWriter, blocks: list[Block]) -> None:
    payload = b"".join(blocks)
    if payload:
        writer.write(b"%x\r\n%s\r\n" % (len(payload), payload))
