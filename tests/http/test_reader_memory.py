"""What readers that stopped reading may cost (G7): the bound that `webedt/http/log_stream.py` states, held to it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.client import Client, Running
from tests.http.conftest import StartReplica
from tests.http.wire import logged
from tests.support.waiting import eventually
from webedt.http.event_connection import HIGH_WATER
from webedt.http.log_stream import LogStream
from webedt.http.stream_registry import AStreams
from webedt.log.producer import MAX_GATHERED_BYTES, MAX_GATHERED_EVENTS
from webedt.log.replay import PAGE_BYTES, PAGE_ROWS
from webedt.log.tail import RING_BYTES
from webedt.log.tails import ATails
from webedt.providers.simulated import BURST

READERS = 200
TOKENS, CHARACTERS = 6000, 60
# As fast as it can, because then what the provider says at once is bounded, whatever else this machine has to do.
TALK = f"[[tokens={TOKENS} rate=0 size={CHARACTERS}]]"
# The lines of a frame but its data, and the JSON around the text of a delta.
FRAME_BYTES, JSON_BYTES = 45, 120
# A page ends behind the event that fills it; what a run gathers for one commit, behind the step that does.
PAGE_BOUND_BYTES = PAGE_BYTES + PAGE_ROWS * FRAME_BYTES + CHARACTERS + JSON_BYTES
COMMIT_BOUND_BYTES = (
    MAX_GATHERED_BYTES + MAX_GATHERED_EVENTS * FRAME_BYTES + BURST * (CHARACTERS + JSON_BYTES + FRAME_BYTES)
)
READER_BOUND_BYTES = HIGH_WATER + max(PAGE_BOUND_BYTES, COMMIT_BOUND_BYTES)
# What readers behind the head may still want, and what came while the database was being read.
TAIL_BOUND_BYTES = 2 * RING_BYTES
KERNEL_BYTES = 16 * 1024


@pytest.fixture
def small_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes little for a reader that takes nothing, so that the rest is ours to hold or not."""

    def shrink(transport: asyncio.Transport, _seconds: float) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    monkeypatch.setattr("webedt.http.event_connection.cut_dead_peers", shrink)


@contextlib.asynccontextmanager
async def stopped_readers(app: Running, user: Client, session_id: str, after: int, count: int) -> AsyncIterator[None]:
    """Sockets that have asked for a stream and take nothing of it, all of them open."""
    before = app.open_streams("follow")
    lines = [
        f"GET /api/sessions/{session_id}/events/stream HTTP/1.1",
        "Host: 127.0.0.1",
        f"Last-Event-ID: {after}",
        *(f"{name}: {value}" for name, value in user.headers.items()),
    ]
    async with contextlib.AsyncExitStack() as closing:
        for _ in range(count):
            connection = closing.enter_context(contextlib.closing(socket.socket()))
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, ("127.0.0.1", app.port))
            await loop.sock_sendall(connection, ("\r\n".join(lines) + "\r\n\r\n").encode())
        await eventually(lambda: app.open_streams("follow") == before + count, "all of them are attached")
        yield


def streams_of(app: Running) -> list[LogStream]:
    return [stream for slot in app.service(AStreams)._wheel for stream in slot]


def held_bytes(streams: list[LogStream]) -> list[int]:
    """What stands in line for each reader."""
    return [stream._transport.get_write_buffer_size() for stream in streams if stream._transport is not None]


def tail_bytes(app: Running) -> int:
    tails: list[Any] = [tail for of_session in app.service(ATails)._tails.values() for tail in of_session.values()]
    return sum(
        sum(len(chunk.payload) for chunk in tail._ring.values())
        + sum(len(chunk.payload) for chunk, _idle in tail._arrived)
        for tail in tails
    )


async def test_200_readers_that_stopped_reading_hold_a_bounded_number_of_bytes_each(
    start: StartReplica, small_sockets: None
) -> None:
    """Half of them replay a long session, half of them are at its live end, while it goes on and another one reads."""
    async with start(max_streams_per_user=READERS + 1) as app:
        user = await app.register()
        session_id = await user.finish(TALK)
        path = f"/api/sessions/{session_id}"
        last = TOKENS + 5
        async with (
            stopped_readers(app, user, session_id, 0, READERS // 2),
            stopped_readers(app, user, session_id, last, READERS // 2),
        ):
            stopped = streams_of(app)
            async with user.stream(f"{path}/events/stream", Last_Event_ID=str(last)) as live:
                await live.until("caught_up")
                assert (await user.post(f"{path}/send", {"message": TALK})).status == 202
                reading = asyncio.create_task(live.until("completed"))
                try:
                    while not reading.done():
                        assert max(held_bytes(stopped)) <= READER_BOUND_BYTES, "who takes nothing is given ever more"
                        assert tail_bytes(app) <= TAIL_BOUND_BYTES
                        await asyncio.sleep(0.002)  # what is held for them only grows
                    await reading
                finally:
                    reading.cancel()
            assert [frame.id for frame in logged(live.seen)] == list(range(last + 1, 2 * last + 1))
            await eventually(lambda: all(stream._patience for stream in stopped), "each waits for its socket")
            held = held_bytes(stopped)
            assert len(held) == READERS
            assert max(held) <= READER_BOUND_BYTES
