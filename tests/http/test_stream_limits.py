"""When streams are refused and when the server ends them: limits, shutdown, goodbye."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.http.client import LONG, PASSWORD, SHORT, Client, Running, new_email, running, token, token_of
from tests.http.conftest import StartReplica, settings_for
from tests.http.wire import Connection, Frame, Stream, events, logged
from tests.support.waiting import eventually
from webedt.http.stream_registry import AStreams
from webedt.services.auth import AAuth


@pytest_asyncio.fixture(loop_scope="session")
async def narrow(database_url: str, start: StartReplica) -> AsyncIterator[Running]:
    """A replica that lets each user have two streams."""
    async with start(max_streams_per_user=2) as app:
        yield app


async def refused_paths(user: Client) -> list[str]:
    session_id = (await user.start(LONG))["sessionId"]
    return [f"/api/resume/{session_id}", f"/api/sessions/{session_id}/events/stream", "/api/sessions/updates"]


async def refusals(app: Running) -> dict[str, float]:
    """What `/metrics` says of the streams that were refused."""
    text = (await app.nobody.get("/metrics")).body.decode()
    found = re.findall(r'^webedt_sse_streams_refused_total\{.*reason="(\w+)"\} (\S+)', text, re.M)
    return {reason: float(count) for reason, count in found}


async def test_the_limit_tells_fetch_429_and_an_event_source_when_to_come_back(narrow: Running) -> None:
    user, other = await narrow.register(), await narrow.register()
    paths = await refused_paths(user)
    async with user.stream(paths[0]) as first, user.stream(paths[2]):
        await first.until("caught_up")
        for path in paths:
            answer = await user.get(path)
            assert (answer.status, answer.code) == (429, "rate_limited")
            assert int(answer.head["Retry-After"]) >= 1
            async with user.stream(path, Accept="text/event-stream") as stream:
                frames = await stream.rest()
            assert [frame.retry is not None for frame in frames] == [True]
        answer = await user.post("/api/execute-remote", {"userRequest": SHORT}, Accept="text/event-stream")
        assert (answer.status, answer.code) == (429, "rate_limited")
        async with other.stream("/api/sessions/updates") as stream:
            await stream.until("snapshot")
    assert len((await user.get("/api/sessions")).json()["sessions"]) == 1
    assert await refusals(narrow) == {"limit": 2 * len(paths) + 1, "draining": 0}


async def test_a_stream_that_ended_makes_room(narrow: Running) -> None:
    user = await narrow.register()
    path = (await refused_paths(user))[1]
    for _ in range(4):
        async with user.stream(path) as one, user.stream(path) as other:
            await one.until("caught_up")
            await other.until("caught_up")
        await eventually(lambda: not narrow.service(AStreams).active, "no stream is open")


async def test_many_streams_opened_at_once_are_all_counted(narrow: Running) -> None:
    user = await narrow.register()
    path = (await refused_paths(user))[1]

    async def open_one() -> int:
        async with Connection(narrow.port) as connection:
            connection.request("GET", path, user.headers)
            head = await connection.head()
            await together.wait()
            return head.status

    together = asyncio.Barrier(12)
    async with asyncio.timeout(10):
        statuses = await asyncio.gather(*(open_one() for _ in range(12)))
    assert sorted(statuses) == [200] * 2 + [429] * 10


async def test_what_does_not_stream_is_not_limited(narrow: Running) -> None:
    user = await narrow.register()
    paths = await refused_paths(user)
    async with user.stream(paths[0]), user.stream(paths[1]):
        assert (await user.start(SHORT))["sessionId"]
        assert (await user.get("/api/sessions")).status == 200
        assert (await user.get("/api/auth/session")).status == 200


# Shutdown -------------------------------------------------------------------------------------------------------------


async def test_shutdown_ends_every_stream_cleanly_with_a_time_to_come_back(start: StartReplica) -> None:
    async with start() as app:
        user = await app.register()
        paths = await refused_paths(user)
        async with (
            user.stream(paths[0]) as resume,
            user.stream(paths[1]) as follow,
            user.stream(paths[2]) as updates,
            user.stream("/api/execute-remote", {"userRequest": LONG}) as execute,
        ):
            streams = [resume, follow, updates, execute]
            await updates.until("snapshot")
            for stream in (resume, follow, execute):
                await stream.until("caught_up")
            async with asyncio.timeout(3):
                await app.service(AStreams).drain()
                for stream in streams:
                    await stream.rest()
        for stream in streams:
            last = stream.seen[-1]
            assert (last.event, last.data, last.id) == ("draining", {}, None)
            assert stream.seen[-2].retry is not None


async def test_a_draining_replica_refuses_new_streams_as_each_client_can_bear(start: StartReplica) -> None:
    async with start() as app:
        user = await app.register()
        paths = await refused_paths(user)
        await app.service(AStreams).drain()
        for path in paths:
            answer = await user.get(path)
            assert (answer.status, answer.code) == (503, "unavailable")
            assert int(answer.head["Retry-After"]) >= 1
            async with user.stream(path, Accept="text/event-stream") as stream:
                frames = await stream.rest()
            assert frames[0].retry is not None
            assert set(events(frames)) <= {"draining"}
        before = len((await user.get("/api/sessions")).json()["sessions"])
        answer = await user.post("/api/execute-remote", {"userRequest": SHORT})
        assert (answer.status, answer.code) == (503, "unavailable")
        assert len((await user.get("/api/sessions")).json()["sessions"]) == before
        assert (await app.nobody.get("/live")).status == 200
        assert await refusals(app) == {"limit": 0, "draining": 2 * len(paths) + 1}


async def test_shutdown_answers_who_waits_for_events(start: StartReplica) -> None:
    async with start() as app:
        user = await app.register()
        session_id = await user.finish()
        waiting = asyncio.create_task(user.get(f"/api/sessions/{session_id}/events?after=8&wait=30"))
        await eventually(lambda: app.open_streams("poll"), "a request that is held")
        async with asyncio.timeout(3):
            await app.service(AStreams).drain()
            answer = await waiting
        assert (answer.status, answer.json()["events"]) == (200, [])


# Goodbye --------------------------------------------------------------------------------------------------------------


async def all_kinds(user: Client) -> list[tuple[str, Any]]:
    session_id = (await user.start(LONG))["sessionId"]
    return [
        (f"/api/resume/{session_id}", None),
        (f"/api/sessions/{session_id}/events/stream", None),
        ("/api/sessions/updates", None),
        ("/api/execute-remote", {"userRequest": LONG}),
    ]


async def beginning(stream: Stream) -> None:
    await stream.until(lambda frame: frame.event in ("caught_up", "snapshot"))


@pytest.mark.parametrize("kind", range(4))
async def test_a_logout_ends_the_streams_behind_it_within_seconds(user: Client, kind: int) -> None:
    path, body = (await all_kinds(user))[kind]
    async with user.stream(path, body) as stream:
        await beginning(stream)
        assert (await user.post("/api/auth/logout")).status == 204
        async with asyncio.timeout(3):
            frames = await stream.rest()
        assert "draining" not in events(frames)


async def test_a_revoked_login_loses_its_streams_and_the_others_keep_theirs(app: Running) -> None:
    body = {"email": new_email(), "password": PASSWORD}
    lost = app.bearer(token_of(await app.nobody.post("/api/auth/register", body)))
    kept = app.bearer(token_of(await app.nobody.post("/api/auth/login", body)))
    session_id = (await lost.start(LONG))["sessionId"]
    path = f"/api/sessions/{session_id}/events/stream"
    async with lost.stream(path) as ended, kept.stream(path) as stays:
        await beginning(ended)
        await beginning(stays)
        public = (await lost.get("/api/auth/session")).json()["session"]["id"]
        assert (await kept.delete(f"/api/auth/sessions/{public}")).status == 204
        async with asyncio.timeout(3):
            await ended.rest()
        await stays.until("text_delta")
        await kept.delete(f"/api/sessions/{session_id}")


async def test_logout_all_ends_the_streams_of_every_login(app: Running, user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    async with user.stream(f"/api/resume/{session_id}") as stream, user.stream("/api/sessions/updates") as updates:
        await beginning(stream)
        await beginning(updates)
        await app.browser(token(user)).post("/api/auth/logout-all")
        async with asyncio.timeout(3):
            await stream.rest()
            await updates.rest()


async def test_a_logout_on_another_replica_ends_streams_here(database_url: str, start: StartReplica) -> None:
    async with start() as here, start() as there:
        user = await here.register()
        path, _ = (await all_kinds(user))[1]
        async with user.stream(path) as stream:
            await beginning(stream)
            assert (await there.bearer(token(user)).post("/api/auth/logout")).status == 204
            async with asyncio.timeout(5):
                await stream.rest()


def stalled(app: Running) -> bool:
    (stream,) = [stream for slot in app.service(AStreams)._wheel for stream in slot] or [None]
    return stream is not None and stream._patience is not None


async def test_a_reader_that_takes_nothing_is_cut_when_it_has_to_go(start: StartReplica) -> None:
    async with start() as app:
        user = await app.register()
        session_id = await user.finish("[[tokens=5000 rate=0 size=4000]]")
        async with Connection(app.port) as connection:
            connection.request("GET", f"/api/sessions/{session_id}/events/stream", user.headers)
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            streams = app.service(AStreams)
            await eventually(lambda: stalled(app), "the stream waits for its socket")
            await user.post("/api/auth/logout")
            await eventually(lambda: not streams.active, "the stream has ended")


async def test_a_reader_told_to_end_while_it_waited_for_its_socket_ends(
    user: Client, monkeypatch: pytest.MonkeyPatch, app: Running
) -> None:
    """The wake-up of `finish` may come while the stream's task waits for something else than wake-ups."""
    from webedt.http.log_stream import LogStream

    told = asyncio.Event()
    drained = LogStream._drained

    async def drained_after_being_told(self: LogStream) -> None:
        await drained(self)
        if not told.is_set():
            told.set()
            self.finish(draining=True)
            await asyncio.sleep(0)

    monkeypatch.setattr(LogStream, "_drained", drained_after_being_told)
    session_id = await user.finish()
    told.clear()
    async with user.stream(f"/api/sessions/{session_id}/events/stream") as stream:
        async with asyncio.timeout(5):
            frames = await stream.rest()
    assert frames[-1].event == "draining"


async def test_a_fault_after_the_first_byte_cuts_the_stream_and_adds_nothing(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webedt.http.log_stream import LogStream

    async def fail(*_args: object) -> None:
        raise RuntimeError("after the headers")

    session_id = await user.finish()
    monkeypatch.setattr(LogStream, "_catch_up", fail)
    async with Connection(app.port) as connection:
        connection.request("GET", f"/api/resume/{session_id}", user.headers)
        assert (await connection.head()).status == 200
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            async for piece in connection.pieces():
                assert b"problem" not in piece


async def test_a_lost_connection_of_ours_is_not_taken_for_the_clients(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webedt.services.sessions import ASessions

    async def fail(*_args: object) -> None:
        raise ConnectionResetError("of the database")

    monkeypatch.setattr(app.service(ASessions), "find", fail)
    answer = await user.get("/api/sessions/00000000-0000-4000-8000-000000000000")
    assert (answer.status, answer.code) == (500, "internal")


async def test_clients_that_come_and_go_leave_no_stream_behind(app: Running, user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    before = app.service(AStreams).active
    paths = [f"/api/resume/{session_id}", f"/api/sessions/{session_id}/events/stream?deltas=0", "/api/sessions/updates"]
    for pause in (0.0, 0.0, 0.001, 0.003, 0.01):
        for path in paths:
            async with Connection(app.port) as connection:
                connection.request("GET", path, user.headers)
                await connection.writer.drain()
                await asyncio.sleep(pause)
    await eventually(lambda: app.service(AStreams).active <= before, "all streams are closed")
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["status"] == "running"


async def test_a_change_is_carried_out_though_its_client_left(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = app.service(AAuth)
    entered, leave = asyncio.Event(), asyncio.Event()
    revoke_all = auth.revoke_all

    async def slowly(*args: Any) -> None:
        entered.set()
        await leave.wait()
        await revoke_all(*args)

    monkeypatch.setattr(auth, "revoke_all", slowly)
    async with Connection(app.port) as connection:
        connection.request("POST", "/api/auth/logout-all", user.headers)
        await entered.wait()
    await asyncio.sleep(0.05)
    leave.set()

    async def logged_out() -> bool:
        return (await user.get("/api/auth/session")).status == 401

    await eventually(logged_out, "the logout is carried out")


async def test_keep_alive_comments_come_between_events_and_harm_none(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.http.stream_registry.KEEP_ALIVE_SECONDS", 1)
    async with running(settings_for(database_url)) as app:
        user = await app.register()
        session_id = await user.finish()
        async with user.stream(f"/api/sessions/{session_id}/events/stream") as stream:
            await stream.until("caught_up")
            await asyncio.sleep(1.2)
            await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})
            await stream.until("completed")
            assert b"\n\n: keep-alive\n\n" in stream.raw
            found: list[Frame] = logged(stream.seen)
            assert [frame.id for frame in found] == list(range(1, 17))
