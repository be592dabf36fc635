"""Bugs that others have shipped (the table is in docs/reliability.md), as a client would meet them."""

import asyncio
import socket

import pytest

from tests.http.client import LONG, Client, Running
from tests.http.conftest import StartReplica
from tests.http.wire import ids, logged
from webedt.bus.interface import ABus, Topic
from webedt.http.event_connection import STALL_SECONDS
from webedt.http.stream_registry import AStreams

SHORTER, LONGER = "[[tokens=3 rate=0]]", "[[tokens=9 rate=0]]"


async def test_the_last_event_id_of_another_session_starts_over_or_is_a_cursor_of_this_one(user: Client) -> None:
    """A page that forgot to forget its cursor: it never gets anything of the other session, nor waits for ever."""
    shorter, longer = await user.finish(SHORTER), await user.finish(LONGER)
    seen: dict[str, list[int]] = {}
    for session_id in (shorter, longer):
        async with user.stream(f"/api/resume/{session_id}") as stream:
            seen[session_id] = ids(await stream.rest())
    ahead, within = seen[longer][-1], seen[shorter][-1]
    assert (within, ahead) == (8, 14)
    async with asyncio.timeout(10), user.stream(f"/api/resume/{shorter}", Last_Event_ID=str(ahead)) as stream:
        frames = await stream.rest()
    assert [frame.data for frame in frames if frame.event == "reset"] == [{"reason": "ahead_of_log"}]
    assert ids(frames) == seen[shorter]
    async with asyncio.timeout(10), user.stream(f"/api/resume/{longer}", Last_Event_ID=str(within)) as stream:
        frames = await stream.rest()
    assert "reset" not in [frame.event for frame in frames]
    assert ids(frames) == list(range(within + 1, ahead + 1))
    [run_id] = {frame.data["runId"] for frame in logged(frames)}
    session = (await user.get(f"/api/sessions/{longer}/events")).json()
    assert {event["data"]["runId"] for event in session["events"]} == {run_id}


async def test_no_two_frames_have_one_id_while_a_replay_meets_a_run_and_the_next_one(user: Client) -> None:
    started = await user.start("[[tokens=40 rate=400]]")
    path = f"/api/sessions/{started['sessionId']}/events/stream"
    async with asyncio.timeout(15), user.stream(path) as early:
        await early.until("text_delta")
        await user.post(f"/api/sessions/{started['sessionId']}/send", {"message": "[[tokens=40 rate=400]]"})
        async with user.stream(path) as late:
            for stream in (early, late):
                await stream.until("completed")
                await stream.until("completed")
                # One id a frame, one frame an id: also not the same event told as a replay and again as it is live.
                assert ids(stream.seen) == list(range(1, 2 * (40 + 5) + 1))


@pytest.mark.parametrize("path", ["/api/resume/{}", "/api/sessions/{}/events/stream", "/api/sessions/updates"])
async def test_a_stream_does_not_outlive_a_logout_whose_signal_is_lost(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    bus = app.service(ABus)
    publish = bus.publish

    def swallow(topic: Topic, *args: object, **more: object) -> None:
        if topic is not Topic.ACCESS:
            publish(topic, *args, **more)

    monkeypatch.setattr(bus, "publish", swallow)
    async with user.stream(path.format(session_id)) as stream:
        await stream.until(lambda frame: frame.event in ("caught_up", "snapshot"))
        assert (await user.post("/api/auth/logout")).status == 204
        async with asyncio.timeout(4):
            await stream.rest()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
@pytest.mark.parametrize("path", ["/api/resume/{}", "/api/sessions/{}/events/stream", "/api/sessions/updates"])
async def test_the_kernel_is_asked_to_notice_a_peer_that_vanished_without_a_word(
    start: StartReplica, path: str
) -> None:
    """Nothing on loopback vanishes; what can be seen is that every stream asks."""
    async with start() as app:
        user = await app.register()
        session_id = (await user.start(LONG))["sessionId"]
        async with user.stream(path.format(session_id)) as stream:
            await stream.until(lambda frame: frame.event in ("caught_up", "snapshot"))
            [open_stream] = [one for slot in app.service(AStreams)._wheel for one in slot]
            peer = open_stream._transport.get_extra_info("socket")
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STALL_SECONDS * 1000
