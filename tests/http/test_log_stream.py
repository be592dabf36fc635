"""One reader at the head of a tail, without a network: what is pushed to it, and when it leaves the head."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from webedt.http.event_connection import GOODBYE_SECONDS, HIGH_WATER, STALL_SECONDS
from webedt.http.log_stream import LogStream, Until
from webedt.log.chunks import Chunk


class Socket:
    """A transport that takes what it is given and says how much of it stands in line."""

    def __init__(self) -> None:
        self.written = b""
        self.waiting = 0
        self.closing = False

    def write(self, payload: bytes) -> None:
        self.written += payload

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


class Registry:
    sent = 0

    def __init__(self) -> None:
        self.spawned = 0

    def spawn(self, work: Any) -> Any:
        work.close()
        self.spawned += 1
        return object()


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def stream(socket: Socket, registry: Registry) -> LogStream:
    """One that is at rest at the head of its tail."""
    anything: Any = object()
    streams: Any = registry
    made = LogStream(anything, streams, Until.RUN, is_chunked=True)
    made._transport = socket  # type: ignore[assignment]
    made._tail = anything
    return made


def test_a_chunk_goes_out_as_one_http_chunk(stream: LogStream, socket: Socket, registry: Registry) -> None:
    assert stream.push(Chunk(4, 5, b"id: 5\n\n", 1, {}, 0.0, "local"))
    assert socket.written == b"7\r\nid: 5\n\n\r\n"
    assert stream._cursor == 5


def test_the_chunk_that_ends_its_run_is_the_last(stream: LogStream, socket: Socket, registry: Registry) -> None:
    run_id = uuid4()
    stream.begin_with_run(run_id, 1, None)
    assert not stream.push(Chunk(4, 5, b"x", 1, {run_id: 5}, 0.0, "local"))
    assert socket.written
    assert registry.spawned == 1


def test_a_chunk_that_goes_on_beyond_its_run_is_not_pushed(
    stream: LogStream, socket: Socket, registry: Registry
) -> None:
    run_id = uuid4()
    stream.begin_with_run(run_id, 1, None)
    assert not stream.push(Chunk(4, 9, b"x", 5, {run_id: 5}, 0.0, "remote"))
    assert socket.written == b""
    assert stream._cursor == 0
    assert registry.spawned == 1


def test_the_end_of_another_run_does_not_matter(stream: LogStream, socket: Socket, registry: Registry) -> None:
    stream.begin_with_run(uuid4(), 1, None)
    assert stream.push(Chunk(4, 9, b"x", 5, {uuid4(): 5}, 0.0, "remote"))
    assert stream._cursor == 9


def test_a_slow_socket_leaves_the_head(stream: LogStream, socket: Socket, registry: Registry) -> None:
    socket.waiting = HIGH_WATER + 1
    assert not stream.push(Chunk(4, 5, b"x", 1, {}, 0.0, "local"))
    assert stream._cursor == 5
    assert registry.spawned == 1


def test_nothing_is_written_to_a_socket_that_closes(stream: LogStream, socket: Socket, registry: Registry) -> None:
    socket.closing = True
    assert not stream.push(Chunk(4, 5, b"x", 1, {}, 0.0, "local"))
    assert socket.written == b""


def test_nothing_is_pushed_to_who_was_told_to_end(stream: LogStream, socket: Socket, registry: Registry) -> None:
    stream.finish(draining=False)
    assert not stream.push(Chunk(4, 5, b"x", 1, {}, 0.0, "local"))
    assert socket.written == b""


def test_the_first_reason_to_end_stands(stream: LogStream) -> None:
    stream.finish(draining=False)
    stream.finish(draining=True)
    assert stream._farewell == b""


def seconds_left(stream: LogStream) -> float:
    assert stream._deadline is not None
    return stream._deadline.when() - asyncio.get_running_loop().time()


async def test_who_reads_slowly_has_time_for_the_end_of_a_run(stream: LogStream, socket: Socket) -> None:
    """What the run said last stands in the buffers, and is worth waiting for; unless there is no more time."""
    stream._end()
    assert socket.written == b"0\r\n\r\n"
    assert socket.closing
    assert GOODBYE_SECONDS < seconds_left(stream) <= STALL_SECONDS
    stream.finish(draining=True)
    assert seconds_left(stream) <= GOODBYE_SECONDS


async def test_who_was_told_to_end_is_cut_soon(stream: LogStream, socket: Socket) -> None:
    stream.finish(draining=True)
    stream._end()
    assert b"event: draining" in socket.written
    assert seconds_left(stream) <= GOODBYE_SECONDS
