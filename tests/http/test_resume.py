"""Following a session: GET /api/resume, /events/stream and the JSON page of /events."""

import asyncio
import time
from typing import Any

import pytest

from tests.http.client import LONG, SHORT, Client, Running, token
from tests.http.wire import Connection, Frame, events, ids, logged
from tests.support.waiting import eventually

SLOW = "[[tokens=30 rate=60]]"


async def resumed(user: Client, session_id: str, query: str = "", **headers: str) -> list[Frame]:
    async with user.stream(f"/api/resume/{session_id}{query}", **headers) as stream:
        return await stream.rest()


async def test_a_replay_is_the_log_from_1_and_ends(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": SHORT}) as stream:
        first = logged(await stream.rest())
        session_id = stream.head["X-Session-ID"]
    frames = await resumed(user, session_id)
    assert frames[0].retry is not None
    assert [frame.lines for frame in logged(frames)] == [frame.lines for frame in first]
    assert frames[-1].event == "caught_up"


async def test_caught_up_comes_once_and_moves_no_cursor(user: Client) -> None:
    session_id = (await user.start(SLOW))["sessionId"]
    for path in (f"/api/resume/{session_id}", f"/api/resume/{session_id}?lastEventId=3"):
        async with user.stream(path) as stream:
            frames = await stream.rest()
        caught = [frame for frame in frames if frame.event == "caught_up"]
        assert len(caught) == 1
        assert caught[0].id is None
        assert caught[0].data.keys() == {"lastEventId", "status"}
        before = ids(frames[: frames.index(caught[0])])
        assert caught[0].data["lastEventId"] == (before[-1] if before else 3)


@pytest.mark.parametrize("cursor", [0, 1, 2, 5, 7])
async def test_what_follows_the_cursor_is_sent_and_nothing_else(user: Client, cursor: int) -> None:
    session_id = await user.finish()
    for frames in (
        await resumed(user, session_id, f"?lastEventId={cursor}"),
        await resumed(user, session_id, Last_Event_ID=str(cursor)),
        await resumed(user, session_id, "?lastEventId=6", Last_Event_ID=str(cursor)),
        await resumed(user, session_id, "?lastEventId=nonsense", Last_Event_ID=str(cursor)),
    ):
        assert ids(frames) == list(range(cursor + 1, 9))
        assert "reset" not in events(frames)


@pytest.mark.parametrize(
    "value",
    [
        "9",
        "4611686018427387904",
        "9" * 100,
        "9" * 2500,
        "-1",
        "1.5",
        "1e3",
        "abc",
        "0x1",
        "+1",
        "\u0663",
        "1 2",
        "null",
        "\x01",
    ],
)
async def test_a_cursor_that_cannot_be_honoured_starts_over_and_says_so(user: Client, value: str) -> None:
    session_id = await user.finish()
    for frames in (
        await resumed(user, session_id, Last_Event_ID=value) if value != "\x01" else None,
        await resumed(user, session_id, "?lastEventId=" + "".join(f"%{byte:02x}" for byte in value.encode())),
    ):
        if frames is None:
            continue
        assert frames[0].retry is not None
        reset = [frame for frame in frames if frame.event == "reset"]
        assert len(reset) == 1
        assert frames.index(reset[0]) <= 1
        assert reset[0].id is None
        assert reset[0].data.keys() == {"reason"}
        assert ids(frames) == list(range(1, 9))


async def test_nothing_after_the_cursor_and_nothing_running_is_204(user: Client) -> None:
    session_id = await user.finish()
    for answer in (
        await user.get(f"/api/resume/{session_id}?lastEventId=8"),
        await user.get(f"/api/resume/{session_id}", Last_Event_ID="8", Accept="text/event-stream"),
        await user.get(f"/api/resume/{session_id}?lastEventId=8&deltas=0"),
    ):
        assert answer.status == 204
        assert answer.body == b""
        assert "Content-Type" not in answer.head


async def test_at_the_head_of_a_running_session_the_stream_waits(user: Client) -> None:
    session_id = (await user.start(SLOW))["sessionId"]
    last = (await user.get(f"/api/sessions/{session_id}")).json()["session"]["lastEventId"]
    frames = await resumed(user, session_id, f"?lastEventId={last}")
    assert ids(frames)[0] == last + 1
    assert logged(frames)[-1].event == "completed"


async def test_replay_goes_over_into_live_without_gap_or_double_for_every_reader(user: Client) -> None:
    session_id = (await user.start("[[tokens=400 rate=800]]"))["sessionId"]
    expected = list(range(1, 400 + 6))

    async def read(delay: float) -> list[int]:
        await asyncio.sleep(delay)
        return ids(await resumed(user, session_id))

    for found in await asyncio.gather(*(read(number / 20) for number in range(10))):
        assert found == expected


async def test_a_reader_that_reconnects_again_and_again_sees_everything_once(user: Client) -> None:
    session_id = (await user.start("[[tokens=60 rate=200]]"))["sessionId"]
    seen: list[int] = []
    ended = False
    while not ended:
        headers = {"Last_Event_ID": str(seen[-1])} if seen else {}
        async with user.stream(f"/api/resume/{session_id}", **headers) as stream:
            for _ in range(12):
                frame = await stream.next()
                if frame is None:
                    break
                if frame.id is not None:
                    seen.append(frame.id)
                    ended = frame.event == "completed"
    assert seen == list(range(1, 60 + 6))


async def test_resume_ends_only_when_the_queue_is_empty_too(user: Client) -> None:
    session_id = (await user.start(SLOW))["sessionId"]
    for _ in range(2):
        await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})
    frames = await resumed(user, session_id)
    assert events(frames).count("completed") == 3
    assert ids(frames) == list(range(1, len(ids(frames)) + 1))


async def test_without_deltas_the_messages_are_whole(user: Client) -> None:
    session_id = (await user.start(SLOW))["sessionId"]
    live = await resumed(user, session_id, "?deltas=0")
    replay = await resumed(user, session_id, "?deltas=0")
    for frames in (live, replay):
        assert [frame.event for frame in logged(frames)] == [
            "user_message", "run_started", "message", "usage", "completed",
        ]  # fmt: skip
        assert ids(frames) == sorted(set(ids(frames)))
    assert [frame.lines for frame in logged(live)] == [frame.lines for frame in logged(replay)]
    assert "text_delta" in events(await resumed(user, session_id, "?deltas=1"))
    assert (await user.get(f"/api/resume/{session_id}?deltas=maybe")).code == "invalid_request"


async def test_a_long_log_comes_whole_and_in_order(user: Client) -> None:
    session_id = await user.finish("[[tokens=5000 rate=0 size=40]]")
    assert ids(await resumed(user, session_id)) == list(range(1, 5000 + 6))
    assert ids(await resumed(user, session_id, "?lastEventId=2500")) == list(range(2501, 5000 + 6))


async def test_an_http_1_0_client_reads_an_unchunked_stream_to_the_close(app: Running, user: Client) -> None:
    for path, method, body in (
        ("/api/execute-remote", "POST", b'{"userRequest":"[[tokens=20 rate=100]]"}'),
        (f"/api/resume/{await user.finish()}", "GET", None),
    ):
        async with Connection(app.port) as connection:
            connection.request(method, path, user.headers, body, "HTTP/1.0")
            head = await connection.head()
            assert "Transfer-Encoding" not in head
            text = await connection.body(head, method)
            assert text.startswith(b"retry: ")
            assert text.endswith(b"\n\n")
            assert b"event: completed\n" in text


# The second device ----------------------------------------------------------------------------------------------------


async def test_follow_stays_open_over_later_runs(user: Client) -> None:
    session_id = await user.finish()
    async with user.stream(f"/api/sessions/{session_id}/events/stream", Last_Event_ID="8") as stream:
        caught = (await stream.until("caught_up"))[-1]
        assert caught.data == {"lastEventId": 8, "status": "completed"}
        for _ in range(2):
            await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})
            await stream.until("completed")
        assert ids(stream.seen) == list(range(9, 9 + 16))


async def test_follow_takes_cursors_and_deltas_as_resume_does(user: Client) -> None:
    session_id = await user.finish()
    path = f"/api/sessions/{session_id}/events/stream"
    async with user.stream(f"{path}?lastEventId=2", Last_Event_ID="6") as stream:
        assert ids(await stream.until("caught_up")) == [7, 8]
    async with user.stream(f"{path}?lastEventId=99") as stream:
        frames = await stream.until("caught_up")
        assert "reset" in events(frames)
        assert ids(frames) == list(range(1, 9))
    async with user.stream(f"{path}?deltas=0") as stream:
        assert "text_delta" not in events(await stream.until("caught_up"))


async def test_the_browser_reads_with_its_cookie_and_without_an_origin(app: Running, user: Client) -> None:
    session_id = await user.finish()
    page = app.nobody.with_headers(Cookie=f"webedt_session={token(user)}", Accept="text/event-stream")
    assert len(ids(await resumed(page, session_id))) == 8


# The JSON page --------------------------------------------------------------------------------------------------------


async def page_of(user: Client, session_id: str, query: str = "") -> Any:
    return (await user.get(f"/api/sessions/{session_id}/events{query}")).json()


async def test_a_page_says_the_same_as_the_stream(user: Client) -> None:
    session_id = await user.finish()
    streamed = logged(await resumed(user, session_id))
    page = await page_of(user, session_id)
    assert page.keys() == {"events", "lastEventId", "status"}
    assert (page["lastEventId"], page["status"]) == (8, "completed")
    for event, frame in zip(page["events"], streamed, strict=True):
        assert event.keys() == {"id", "type", "data", "runId", "createdAt"}
        assert (event["id"], event["type"], event["data"]) == (frame.id, frame.event, frame.data)
        assert event["runId"] == frame.data["runId"]


async def test_pages_are_cut_by_after_and_limit(user: Client) -> None:
    session_id = await user.finish()
    found: list[int] = []
    after = 0
    while (page := await page_of(user, session_id, f"?after={after}&limit=3"))["events"]:
        assert len(page["events"]) <= 3
        after = page["lastEventId"]
        found += [event["id"] for event in page["events"]]
        assert after == found[-1]
    assert found == list(range(1, 9))
    assert page["lastEventId"] == 8
    assert (await page_of(user, session_id, "?after=99"))["events"] == []


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=x", "after=1.5", "limit=0", "limit=-1", "limit=x", "limit=999999999", "wait=31", "wait=-1",
     "wait=x", "after=99999999999999999999", "after=%00"],
)  # fmt: skip
async def test_a_page_that_cannot_be_is_refused(user: Client, query: str) -> None:
    session_id = await user.finish()
    answer = await user.get(f"/api/sessions/{session_id}/events?{query}")
    assert (answer.status, answer.code) == (400, "invalid_request")


async def held(app: Running) -> None:
    """Returns when a request waits for events."""
    await eventually(lambda: app.open_streams("poll"), "a request that is held")


async def test_wait_holds_an_empty_answer_until_something_comes(app: Running, user: Client) -> None:
    session_id = await user.finish()
    waiting = asyncio.create_task(page_of(user, session_id, "?after=8&wait=30"))
    await held(app)
    assert not waiting.done()
    await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})
    async with asyncio.timeout(5):
        page = await waiting
    assert page["events"][0]["id"] == 9


async def test_wait_ends_empty_handed_when_its_time_is_over(user: Client) -> None:
    session_id = await user.finish()
    began = time.monotonic()
    page = await page_of(user, session_id, "?after=8&wait=1")
    assert 0.9 < time.monotonic() - began < 5
    assert (page["events"], page["lastEventId"], page["status"]) == ([], 8, "completed")
    began = time.monotonic()
    await page_of(user, session_id, "?after=7&wait=30")
    assert time.monotonic() - began < 5


async def test_a_logout_ends_who_waits(app: Running, user: Client) -> None:
    session_id = await user.finish()
    waiting = asyncio.create_task(user.get(f"/api/sessions/{session_id}/events?after=8&wait=30"))
    await held(app)
    assert (await user.post("/api/auth/logout")).status == 204
    async with asyncio.timeout(5):
        assert (await waiting).code == "unauthenticated"


async def test_a_deleted_session_ends_who_waits(app: Running, user: Client) -> None:
    session_id = await user.finish()
    waiting = asyncio.create_task(user.get(f"/api/sessions/{session_id}/events?after=8&wait=30"))
    await held(app)
    await user.delete(f"/api/sessions/{session_id}")
    async with asyncio.timeout(5):
        assert (await waiting).code == "not_found"


# Text that would like to be a frame -----------------------------------------------------------------------------------

HOSTILE = (
    "one\ntwo\r\nthree\rfour\n\nid: 99\nevent: completed\ndata: {}\n\n"
    "\u2028 \u2029 \x85 \x0b \x0c \x1c \ufeff \ufffd \U0001f600 \\n \" ' </script> : retry: 1\n\n"
)


async def test_what_a_prompt_says_cannot_break_a_frame(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": HOSTILE}) as stream:
        frames = await stream.until("user_message")
        assert frames[-1].data["content"] == [{"type": "text", "text": HOSTILE}]
        assert stream.raw.count(b"\r") == 0
        session_id = stream.head["X-Session-ID"]
    page = await page_of(user, session_id, "?limit=1")
    assert page["events"][0]["data"]["content"][0]["text"] == HOSTILE


async def test_what_a_model_says_cannot_break_a_frame(user: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webedt.providers.simulated.simulated_text", lambda length, _seed: (HOSTILE * 99)[:length])
    prompt = f"[[tokens=40 rate=200 size={len(HOSTILE) // 7}]]"
    async with user.stream("/api/execute-remote", {"userRequest": prompt}) as stream:
        live = logged(await stream.rest())
        session_id = stream.head["X-Session-ID"]
    replay = logged(await resumed(user, session_id))
    for frames in (live, replay):
        assert ids(frames) == list(range(1, 40 + 6))
        text = "".join(frame.data["text"] for frame in frames if frame.event == "text_delta")
        assert text == (HOSTILE * 99)[: 40 * (len(HOSTILE) // 7)]
    assert [frame.lines for frame in live] == [frame.lines for frame in replay]


async def test_half_a_character_at_the_end_of_a_delta_is_replaced_and_not_fatal(
    user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "webedt.providers.simulated.simulated_text", lambda length, _seed: ("\ud83d\x00" * length)[:length]
    )
    async with user.stream("/api/execute-remote", {"userRequest": "[[tokens=4 rate=0 size=3]]"}) as stream:
        found = logged(await stream.rest())
    assert found[-1].event == "completed"
    assert "".join(frame.data["text"] for frame in found if frame.event == "text_delta") == "\ufffd" * 12


async def test_a_session_that_is_deleted_ends_its_streams(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    async with (
        user.stream(f"/api/resume/{session_id}") as resume,
        user.stream(f"/api/sessions/{session_id}/events/stream?deltas=0") as follow,
        user.stream("/api/execute-remote", {"userRequest": SHORT, "websiteSessionId": session_id}) as execute,
    ):
        for stream in (resume, follow, execute):
            await stream.until("caught_up")
        assert (await user.delete(f"/api/sessions/{session_id}")).status == 204
        async with asyncio.timeout(5):
            for stream in (resume, follow, execute):
                await stream.rest()
