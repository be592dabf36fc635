"""A stream whose connection was taken from the HTTP server: what stays of the request, and how it ends."""

import asyncio
import gc
import weakref

import pytest
from aiohttp import web

from tests.http.client import LONG, Client, Running
from tests.http.conftest import StartReplica
from tests.http.wire import Connection
from tests.support.waiting import eventually
from webedt.http.stream_registry import AStreams
from webedt.http.takeover import take_over


def tasks_of_streams() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "stream"]


async def test_nothing_of_the_request_is_left_while_a_stream_rests(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[weakref.ref[web.Request]] = []

    def take_over_and_watch(request: web.Request, protocol: asyncio.Protocol) -> asyncio.Transport:
        taken.append(weakref.ref(request))
        return take_over(request, protocol)

    monkeypatch.setattr("webedt.http.streaming.take_over", take_over_and_watch)
    session_id = await user.finish()
    taken.clear()
    async with user.stream(f"/api/sessions/{session_id}/events/stream") as stream:
        await stream.until("caught_up")
        await eventually(lambda: not tasks_of_streams(), "its task has ended")
        await eventually(lambda: not app.service(AStreams)._working, "and is forgotten")
        gc.collect()
        assert [left() for left in taken] == [None]
        assert app.open_streams("follow") == 1


async def test_a_stream_at_rest_is_given_back_when_its_client_leaves(app: Running, user: Client) -> None:
    session_id = await user.finish()
    async with user.stream(f"/api/sessions/{session_id}/events/stream") as stream:
        await stream.until("caught_up")
        await eventually(lambda: not tasks_of_streams(), "it is at rest")
    await eventually(lambda: not app.service(AStreams).active, "it is gone")
    assert not app.service(AStreams)._held


async def test_a_client_that_sends_more_is_not_listened_to(app: Running, user: Client) -> None:
    """Nor does what it sends stand in a buffer, or keep the end of the connection from being seen."""
    session_id = await user.finish()
    async with Connection(app.port) as connection:
        connection.request("GET", f"/api/sessions/{session_id}/events/stream", user.headers)
        await connection.head()
        await eventually(lambda: app.open_streams("follow") == 1, "it is open")
        for _ in range(64):
            connection.send(b"x" * 65536)
            await connection.writer.drain()
        assert app.open_streams("follow") == 1
    await eventually(lambda: not app.service(AStreams).active, "it is gone")


async def test_streams_that_were_not_drained_are_cut_when_the_registry_stops(start: StartReplica) -> None:
    async with start() as app:
        user = await app.register()
        session_id = (await user.start(LONG))["sessionId"]
        async with Connection(app.port) as connection:
            connection.request("GET", f"/api/resume/{session_id}", user.headers)
            await connection.head()
            await eventually(lambda: app.open_streams("resume") == 1, "it is open")
            await app.service(AStreams)._cut_off()
            assert not app.service(AStreams).active
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                async with asyncio.timeout(5):
                    await connection.reader.readexactly(1 << 24)
