"""POST /api/execute-remote: what is accepted, and the stream of a run from its prompt to its end."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.http.client import LONG, SHORT, Client, Running, token
from tests.http.conftest import StartReplica
from tests.http.wire import Connection, events, ids, logged
from tests.support.waiting import eventually
from webedt.services.runs import ARuns

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


async def test_the_ids_come_in_headers_before_the_first_byte(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": SHORT}) as stream:
        session_id, run_id = stream.head["X-Session-ID"], stream.head["X-Run-ID"]
        assert str(UUID(session_id)) == session_id
        assert str(UUID(run_id)) == run_id
        assert stream.head["Location"] == f"/api/resume/{session_id}"
        assert "no-cache" in stream.head["Cache-Control"]
        assert stream.head["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in stream.head
        assert {frame.data["runId"] for frame in logged(await stream.rest())} == {run_id}


async def test_a_stream_is_retry_then_the_log_from_1_to_its_terminal_event(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": SHORT}) as stream:
        frames = await stream.rest()
    assert frames[0].retry is not None
    assert frames[0].retry > 0
    found = logged(frames)
    assert ids(found) == list(range(1, len(found) + 1))
    assert [frame.event for frame in found] == [
        "user_message", "run_started", *["text_delta"] * 3, "message", "usage", "completed",
    ]  # fmt: skip
    assert all(len(frame.lines) == 3 for frame in found)


async def test_every_event_has_the_data_that_is_promised(user: Client) -> None:
    prompt = "[[tokens=3 rate=0 size=4 thinking=2]]"
    async with user.stream("/api/execute-remote", {"userRequest": prompt}) as stream:
        found = logged(await stream.rest())
        run_id = stream.head["X-Run-ID"]
    by_type = {frame.event: frame.data for frame in found}
    assert by_type["user_message"] == {"runId": run_id, "content": [{"type": "text", "text": prompt}]}
    assert by_type["run_started"] == {
        "runId": run_id, "attempt": 1, "provider": "simulated", "model": "simulated-1",
        "container": "replica-under-test",
    }  # fmt: skip
    deltas = [frame for frame in found if frame.event in ("text_delta", "thinking_delta")]
    message_id = deltas[0].data["messageId"]
    assert all(frame.data.keys() == {"runId", "messageId", "text"} for frame in deltas)
    assert {frame.data["messageId"] for frame in deltas} == {message_id}
    message = by_type["message"]
    assert message.keys() == {"runId", "messageId", "role", "content", "replacesFrom"}
    assert (message["role"], message["messageId"]) == ("assistant", message_id)
    assert message["replacesFrom"] == deltas[0].id
    text = "".join(frame.data["text"] for frame in deltas if frame.event == "text_delta")
    assert text in [block.get("text") for block in message["content"]]
    assert {"runId", "inputTokens", "outputTokens"} <= by_type["usage"].keys()
    assert by_type["completed"].keys() == {"runId", "stopReason", "durationMs"}


async def test_a_run_that_fails_says_why_and_ends_its_stream(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": "[[tokens=50 rate=0 error_after=5]]"}) as stream:
        frames = await stream.rest()
        session_id = stream.head["X-Session-ID"]
    last = logged(frames)[-1]
    assert last.event == "failed"
    assert last.data.keys() == {"runId", "code", "message", "retryable"}
    assert events(frames).count("text_delta") == 5
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["status"] == "failed"


async def test_respond_async_answers_202_and_where_to_follow(user: Client) -> None:
    for prefer in ("respond-async", "return=minimal, respond-async;x=1, wait=10", "RESPOND-ASYNC"):
        answer = await user.post("/api/execute-remote", {"userRequest": SHORT}, Prefer=prefer)
        assert answer.status == 202
        found = answer.json()
        assert found.keys() == {"sessionId", "runId", "status"}
        assert found["status"] in ("queued", "running")
        assert answer.head["Location"] == f"/api/resume/{found['sessionId']}"
        async with user.stream(answer.head["Location"]) as stream:
            assert logged(await stream.rest())[-1].event == "completed"


async def test_the_run_goes_on_when_its_connection_is_gone(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": "[[tokens=20 rate=100]]"}) as stream:
        await stream.until("text_delta")
        session_id = stream.head["X-Session-ID"]
    async with user.stream(f"/api/resume/{session_id}") as stream:
        frames = await stream.rest()
    assert events(frames).count("text_delta") == 20
    assert logged(frames)[-1].event == "completed"


async def test_a_client_that_leaves_before_the_answer_has_still_started_its_run(app: Running, user: Client) -> None:
    for _ in range(5):
        async with Connection(app.port) as connection:
            body = b'{"userRequest": "[[tokens=1 rate=0]]"}'
            connection.request("POST", "/api/execute-remote", user.headers, body)
            await connection.writer.drain()
            await asyncio.sleep(0)

    async def all_done() -> bool:
        found.clear()
        found.extend((await user.get("/api/sessions")).json()["sessions"])
        return all(session["status"] == "completed" for session in found)

    found: list[Any] = []
    await eventually(all_done, "every run has ended")
    # Whether the request was read before its connection was cut is the network's; what was read is carried out whole.
    assert len(found) <= 5
    for session in found:
        page = (await user.get(f"/api/sessions/{session['id']}/events")).json()
        assert [page["events"][0]["type"], page["events"][-1]["type"]] == ["user_message", "completed"]


async def test_a_prompt_whose_client_leaves_while_it_is_accepted_is_accepted_whole(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = app.service(ARuns)
    entered, leave = asyncio.Event(), asyncio.Event()
    accept = runs.accept

    async def slowly(prompt: Any) -> Any:
        entered.set()
        await leave.wait()
        return await accept(prompt)

    monkeypatch.setattr(runs, "accept", slowly)
    async with Connection(app.port) as connection:
        connection.request("POST", "/api/execute-remote", user.headers, b'{"userRequest": "[[tokens=1 rate=0]]"}')
        await entered.wait()
    assert (await user.get("/api/sessions")).json()["sessions"] == []
    leave.set()

    async def done() -> bool:
        found = (await user.get("/api/sessions")).json()["sessions"]
        return [session["status"] for session in found] == ["completed"]

    await eventually(done, "the run has ended")


async def test_a_stream_is_the_last_of_its_connection_and_says_so(app: Running, user: Client) -> None:
    async with Connection(app.port) as connection:
        connection.request("POST", "/api/execute-remote", user.headers, b'{"userRequest":"[[tokens=2 rate=0]]"}')
        connection.request("GET", "/api/auth/session", user.headers)  # sent too early: nobody reads it
        head = await connection.head()
        assert head["connection"] == "close"
        body = await connection.body(head, "POST")
        assert body.endswith(b"\n\n")
        assert b"event: completed" in body
        assert await connection.reader.read() == b""


async def test_blocks_with_images_are_kept_as_they_were_sent(user: Client) -> None:
    blocks = [{"type": "text", "text": "what is this?"}, {"type": "image", "source": PNG}]
    async with user.stream("/api/execute-remote", {"userRequest": blocks}) as stream:
        found = await stream.until("user_message")
        assert found[-1].data["content"] == blocks


async def test_an_image_alone_is_a_prompt(user: Client) -> None:
    assert (await user.start([{"type": "image", "source": PNG}]))["status"] in ("queued", "running")


async def test_what_was_asked_for_shows_in_the_session(user: Client) -> None:
    found = await user.start(
        "  fix\n the   bug ", provider="simulated", model="m-1",
        github={"repoUrl": "https://github.com/o/r", "branch": "main"},
    )  # fmt: skip
    session = (await user.get(f"/api/sessions/{found['sessionId']}")).json()["session"]
    assert session["title"] == "fix the bug"
    assert (session["provider"], session["model"]) == ("simulated", "m-1")
    assert (session["repositoryUrl"], session["branch"]) == ("https://github.com/o/r", "main")


async def test_absent_and_null_mean_the_same(user: Client) -> None:
    nothing = {"websiteSessionId": None, "provider": None, "model": None, "github": None}
    assert (await user.start(SHORT, **nothing))["sessionId"]
    assert (await user.start(SHORT, github={"repoUrl": "https://github.com/o/r", "branch": None}))["sessionId"]


NO_SUCH_ID = "00000000-0000-4000-8000-000000000000"
IMAGE = {"type": "image", "source": PNG}
REFUSED: list[dict[str, Any]] = [
    {},
    {"userRequest": None},
    {"userRequest": ""},
    {"userRequest": " \n\t"},
    {"userRequest": 7},
    {"userRequest": True},
    {"userRequest": {}},
    {"userRequest": []},
    {"userRequest": ["x"]},
    {"userRequest": [{"type": "text"}]},
    {"userRequest": [{"type": "text", "text": ""}]},
    {"userRequest": [{"type": "text", "text": " "}]},
    {"userRequest": [{"type": "text", "text": "x", "more": 1}]},
    {"userRequest": [{"type": "video", "text": "x"}]},
    {"userRequest": [{"text": "x"}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "type": "url"}}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "media_type": "image/svg+xml"}}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "data": "not base64!"}}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "data": "abcd\n"}}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "data": "abcde"}}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "data": "0="}}]},
    {"userRequest": [{**IMAGE, "source": {**PNG, "data": ""}}]},
    {"userRequest": [{"type": "text", "text": "x"}] * 101},
    {"userRequest": "x", "provider": "no-such-provider"},
    {"userRequest": "x", "provider": ""},
    {"userRequest": "x", "provider": 1},
    {"userRequest": "x", "model": ""},
    {"userRequest": "x", "model": "m" * 201},
    {"userRequest": "x", "onBusy": "wait"},
    {"userRequest": "x", "onBusy": None},
    {"userRequest": "x", "github": {}},
    {"userRequest": "x", "github": {"repoUrl": "ftp://github.com/o/r"}},
    {"userRequest": "x", "github": {"repoUrl": "https://user:secret@github.com/o/r"}},
    {"userRequest": "x", "github": {"repoUrl": "https://[broken"}},
    {"userRequest": "x", "github": {"repoUrl": "https://github.com/o/r", "token": "t"}},
    {"userRequest": "x", "websiteSessionId": 7},
    {"userRequest": "x", "unknown": 1},
    {"userrequest": "x"},
    {"user_request": "x"},
]


@pytest.mark.parametrize("body", REFUSED, ids=range(len(REFUSED)))
async def test_what_is_no_prompt_is_refused_and_leaves_nothing(user: Client, body: dict[str, Any]) -> None:
    answer = await user.post("/api/execute-remote", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    for error in answer.json().get("errors", []):
        assert error.keys() == {"path", "message"}
    assert (await user.get("/api/sessions")).json()["sessions"] == []


async def test_a_fault_in_the_body_says_where(user: Client) -> None:
    answer = await user.post("/api/execute-remote", {"userRequest": "x", "github": {"repoUrl": 1}})
    assert answer.json()["errors"][0]["path"] == "$.github.repoUrl"


# On a session that there is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", "x", NO_SUCH_ID])
async def test_a_session_that_is_not_there_is_404(user: Client, bad: str) -> None:
    answer = await user.post("/api/execute-remote", {"userRequest": "x", "websiteSessionId": bad})
    assert (answer.status, answer.code) == (404, "not_found")


async def test_a_deleted_session_takes_no_prompt(user: Client) -> None:
    session_id = await user.finish()
    assert (await user.delete(f"/api/sessions/{session_id}")).status == 204
    answer = await user.post("/api/execute-remote", {"userRequest": "x", "websiteSessionId": session_id})
    assert answer.status == 404


async def test_a_follow_up_streams_its_own_run_only(user: Client) -> None:
    session_id = await user.finish()
    body = {"userRequest": SHORT, "websiteSessionId": session_id}
    async with user.stream("/api/execute-remote", body) as stream:
        assert stream.head["X-Session-ID"] == session_id
        found = logged(await stream.rest())
        run_id = stream.head["X-Run-ID"]
    assert found[0].event == "user_message"
    assert found[0].id is not None
    assert found[0].id > 1
    assert {frame.data["runId"] for frame in found} == {run_id}
    assert ids(found) == list(range(found[0].id, found[0].id + len(found)))


async def test_a_queued_prompt_streams_from_its_own_prompt_to_its_own_end(user: Client) -> None:
    first = await user.start("[[tokens=10 rate=50]]")
    session_id = first["sessionId"]
    body = {"userRequest": SHORT, "websiteSessionId": session_id}
    async with (
        user.stream("/api/execute-remote", body) as second,
        user.stream("/api/execute-remote", body) as third,
    ):
        for stream in (second, third):
            found = logged(await stream.rest())
            run_id = stream.head["X-Run-ID"]
            assert (found[0].event, found[0].data["runId"]) == ("user_message", run_id)
            assert (found[-1].event, found[-1].data["runId"]) == ("completed", run_id)
            assert ids(found) == list(range(ids(found)[0], ids(found)[-1] + 1))
        assert {frame.data["runId"] for frame in logged(second.seen)} >= {first["runId"], second.head["X-Run-ID"]}


async def test_a_prompt_that_another_replica_runs_streams_to_its_own_end_and_not_beyond(start: StartReplica) -> None:
    async with start() as here, start() as there:
        user = await here.register()
        session_id = (await here.bearer(token(user)).start("[[tokens=10 rate=40]]"))["sessionId"]
        body = {"userRequest": "[[tokens=50 rate=0]]", "websiteSessionId": session_id}
        remote = there.bearer(token(user))
        async with (
            remote.stream("/api/execute-remote", body) as second,
            remote.stream("/api/execute-remote", body) as third,
            remote.stream("/api/execute-remote", body) as fourth,
        ):
            for stream in (second, third, fourth):
                found = logged(await stream.rest())
                run_id = stream.head["X-Run-ID"]
                assert (found[0].event, found[0].data["runId"]) == ("user_message", run_id)
                assert (found[-1].event, found[-1].data["runId"]) == ("completed", run_id)
                assert ids(found) == list(range(ids(found)[0], ids(found)[-1] + 1))


async def test_a_queued_prompt_that_is_interrupted_ends_its_stream(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    body = {"userRequest": SHORT, "websiteSessionId": session_id}
    async with user.stream("/api/execute-remote", body) as stream:
        run_id = stream.head["X-Run-ID"]
        await stream.until("user_message")
        await user.post(f"/api/sessions/{session_id}/interrupt", {"runId": run_id})
        last = logged(await stream.rest())[-1]
        assert (last.event, last.data["runId"]) == ("interrupted", run_id)


async def test_on_busy_reject_is_409_only_while_something_runs(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    body = {"userRequest": SHORT, "websiteSessionId": session_id, "onBusy": "reject"}
    answer = await user.post("/api/execute-remote", body)
    assert (answer.status, answer.code) == (409, "conflict")
    await user.post(f"/api/sessions/{session_id}/interrupt")
    async with user.stream(f"/api/resume/{session_id}") as stream:
        assert events(await stream.rest()).count("user_message") == 1
    async with user.stream("/api/execute-remote", body) as stream:
        assert logged(await stream.rest())[-1].event == "completed"


async def test_on_busy_interrupt_stops_what_runs_and_then_runs(user: Client) -> None:
    first = await user.start(LONG)
    body = {"userRequest": SHORT, "websiteSessionId": first["sessionId"], "onBusy": "interrupt"}
    async with user.stream("/api/execute-remote", body) as stream:
        found = logged(await stream.rest())
        ends = [(frame.event, frame.data["runId"]) for frame in found if frame.event in ("interrupted", "completed")]
        assert ends == [("interrupted", first["runId"]), ("completed", stream.head["X-Run-ID"])]


async def test_in_production_no_prompt_is_simulated_by_accident(start: StartReplica) -> None:
    async with start(environment="production") as app:
        user = await app.register()
        for body in ({"userRequest": "x"}, {"userRequest": "x", "provider": "simulated"}):
            assert (await user.post("/api/execute-remote", body)).code == "invalid_request"


async def test_the_stream_of_a_run_says_once_that_it_caught_up_and_ends_with_the_terminal_event(user: Client) -> None:
    # So short that the run has ended before its stream begins, now and then; a repeated key finds it ended always.
    for repeat in range(30):
        body, key = {"userRequest": f"[[tokens=1 rate=0 seed={repeat // 2}]]"}, {"Idempotency-Key": f"{repeat // 2}"}
        async with user.stream("/api/execute-remote", body, **key) as stream:
            frames = [frame for frame in await stream.rest() if frame.event]
        assert frames[-1].event == "completed"
        caught = [at for at, frame in enumerate(frames) if frame.event == "caught_up"]
        assert len(caught) == 1
        assert frames[caught[0]].data["lastEventId"] == frames[caught[0] - 1].id
