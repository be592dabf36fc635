"""The client against a server that drops, refuses, repeats and restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.client.scripted_server import (
    RUN_ID,
    SESSION_ID,
    ScriptedServer,
    answer,
    completed,
    delta,
    frame,
    message,
    refusal,
    stream,
)
from webedt.client import (
    Conflict,
    ConnectionFailed,
    Event,
    EventStream,
    NotFound,
    Patience,
    ProtocolError,
    RateLimited,
    Retry,
    Unauthenticated,
    Unavailable,
    WebEDTClient,
    WebEDTError,
)
from webedt.client.retrying import Backoff
from webedt.client.transport import Deadlines

PATIENT = Patience(base_seconds=0.01, cap_seconds=0.05, before_accepted_seconds=10, give_up_after_seconds=10)
IMPATIENT = Patience(base_seconds=0.01, cap_seconds=0.02, before_accepted_seconds=0.1, give_up_after_seconds=0.1)


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[WebEDTClient]:
    async with WebEDTClient(server.url, "a-token", patience=PATIENT) as opened:
        yield opened


async def read(events: EventStream) -> list[Event]:
    async with asyncio.timeout(20), aclosing(aiter(events)) as opened:
        return [event async for event in opened]


def ids(events: list[Event]) -> list[int]:
    return [event.id for event in events if event.id is not None]


async def test_a_run_is_followed_to_its_own_end(server: ScriptedServer, client: WebEDTClient) -> None:
    server.steps = [stream(b"retry: 10\n\n", frame(1, "user_message"), delta(2, "hi"), completed(3))]
    execution = client.execute("hello", provider="simulated", on_busy="queue", idempotency_key="k")
    events = await read(execution)
    assert [event.type for event in events] == ["user_message", "text_delta", "completed"]
    assert (execution.session_id, execution.run_id, execution.cursor) == (SESSION_ID, RUN_ID, 3)
    method, path, headers, body = server.requests[0]
    assert (method, path) == ("POST", "/api/execute-remote")
    assert headers["Authorization"] == "Bearer a-token"
    assert headers["Idempotency-Key"] == "k"
    assert body == {"userRequest": "hello", "provider": "simulated", "onBusy": "queue"}


async def test_a_connection_that_drops_in_the_middle_of_a_frame_is_resumed_after_the_last_whole_one(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        stream(frame(1, "user_message"), delta(2, "a"), delta(3, "b")[:-7], breaks=True),
        stream(delta(3, "b"), completed(4)),
    ]
    assert ids(await read(client.execute("hello"))) == [1, 2, 3, 4]
    assert server.cursors == ["POST", "2"]


async def test_a_prompt_refused_for_now_is_repeated_under_the_same_key(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        refusal(503, "unavailable", Retry_After="0"),
        refusal(429, "rate_limited", Retry_After="0"),
        stream(b": accepted, then silence", breaks=True),
        stream(frame(1, "user_message"), completed(2)),
    ]
    assert ids(await read(client.execute("hello"))) == [1, 2]
    assert server.cursors == ["POST"] * 4
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.requests}) == 1


async def test_a_server_that_restarts_under_a_run_is_waited_for(server: ScriptedServer, client: WebEDTClient) -> None:
    await server.stop()
    execution = client.execute("hello")
    refused = asyncio.Event()
    execution.on_retry = lambda retry: refused.set()
    server.steps = [
        stream(frame(1, "user_message"), delta(2, "a"), then=asyncio.Event().wait),
        stream(completed(3)),
    ]
    halfway = asyncio.Event()

    async def read_and_tell() -> list[int | None]:
        seen = []
        async for event in execution:
            seen.append(event.id)
            if event.id == 2:
                halfway.set()
        return seen

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        reading = group.create_task(read_and_tell())
        await refused.wait()
        await server.start()
        await halfway.wait()
        await server.stop()
        refused.clear()
        await refused.wait()
        await server.start()
    assert reading.result() == [1, 2, 3]
    assert server.cursors == ["POST", "2"]


async def test_ids_that_were_seen_are_dropped(server: ScriptedServer, client: WebEDTClient) -> None:
    server.steps = [
        stream(frame(1, "user_message"), delta(2, "a"), delta(2, "a"), breaks=True),
        stream(frame(1, "user_message"), delta(2, "a"), delta(3, "b"), delta(3, "b"), completed(4)),
    ]
    assert ids(await read(client.execute("hello"))) == [1, 2, 3, 4]


async def test_events_of_another_run_are_not_given_and_do_not_end_the_stream(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        stream(frame(5, "user_message"), delta(6, "x", run_id="other"), completed(7, run_id="other"), completed(8))
    ]
    assert ids(await read(client.execute("hello", session_id=SESSION_ID))) == [5, 8]


async def test_a_session_is_followed_over_several_runs_until_the_server_has_nothing_more(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        stream(completed(4), frame(5, "user_message", run_id="two"), frame(6, "failed", run_id="two")),
        answer(204),
    ]
    assert ids(await read(client.resume(SESSION_ID, after=3))) == [4, 5, 6]
    assert server.cursors == ["3", "6"]


async def test_after_the_last_end_the_server_is_asked_at_once_and_not_after_its_retry_time(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    caught_up = frame(None, "caught_up", lastEventId=1, status="completed")
    server.steps = [stream(b"retry: 30000\n\n", completed(1), caught_up), answer(204)]
    events = await read(client.resume(SESSION_ID))
    assert [event.type for event in events] == ["completed", "caught_up"]


async def test_a_session_without_anything_new_gives_nothing(server: ScriptedServer, client: WebEDTClient) -> None:
    server.steps = [answer(204)]
    assert await read(client.resume(SESSION_ID, after=9)) == []


async def test_a_draining_server_is_left_without_a_word_and_its_retry_time_is_kept(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        stream(frame(1, "user_message"), b"retry: 300\n" + frame(None, "draining")),
        stream(completed(2)),
    ]
    execution = client.execute("hello")
    retries: list[Retry] = []
    execution.on_retry = retries.append
    assert [event.type for event in await read(execution)] == ["user_message", "completed"]
    assert retries[0].delay_seconds >= 0.3
    assert retries[0].error is None


async def test_a_reset_forgets_the_cursor_and_reads_from_the_beginning(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        stream(frame(None, "reset", reason="unknown cursor"), frame(1, "user_message"), breaks=True),
        stream(completed(2)),
        answer(204),
    ]
    events = await read(client.resume(SESSION_ID, after=70))
    assert [event.type for event in events] == ["reset", "user_message", "completed"]
    assert server.cursors == ["70", "1", "2"]


async def test_a_gap_left_by_compaction_is_accepted(server: ScriptedServer, client: WebEDTClient) -> None:
    server.steps = [stream(frame(1, "user_message"), message(40, "hello", replaces_from=2), completed(41))]
    assert ids(await read(client.execute("hello"))) == [1, 40, 41]


async def test_a_reader_that_was_cancelled_goes_on_where_it_stopped(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.steps = [
        stream(frame(1, "user_message"), delta(2, "a"), then=asyncio.Event().wait),
        stream(frame(3, "interrupted", by="user")),
    ]
    execution = client.execute("hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await read(execution)
    assert ids(await read(execution)) == [3]
    assert server.cursors == ["POST", "2"]


async def test_a_stream_that_falls_silent_is_left_for_a_new_one(server: ScriptedServer) -> None:
    server.steps = [stream(frame(1, "user_message"), then=asyncio.Event().wait), stream(completed(2))]
    deadlines = Deadlines(silence_seconds=0.1)
    async with WebEDTClient(server.url, "t", patience=PATIENT, deadlines=deadlines) as client:
        assert ids(await read(client.execute("hello"))) == [1, 2]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(401, "unauthenticated", Unauthenticated), (404, "not_found", NotFound), (409, "conflict", Conflict)],
)
async def test_a_refusal_that_waiting_cannot_change_is_raised_at_once_with_all_it_says(
    server: ScriptedServer, client: WebEDTClient, status: int, code: str, expected: type[WebEDTError]
) -> None:
    server.steps = [refusal(status, code, "because")]
    with pytest.raises(expected, match="because") as caught:
        await read(client.execute("hello"))
    assert isinstance(caught.value, Unauthenticated | NotFound | Conflict)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code, "r-1")


async def test_an_unreachable_server_is_given_up_in_the_end(server: ScriptedServer) -> None:
    await server.stop()
    async with WebEDTClient(server.url, "t", patience=IMPATIENT) as client:
        with pytest.raises(ConnectionFailed, match="connection refused"):
            await read(client.execute("hello"))


async def test_a_server_that_asks_for_more_time_than_there_is_patience_is_not_waited_for(
    server: ScriptedServer,
) -> None:
    server.steps = [refusal(429, "rate_limited", Retry_After="60")]
    async with WebEDTClient(server.url, "t", patience=IMPATIENT) as client:
        with pytest.raises(RateLimited) as caught:
            await read(client.resume(SESSION_ID))
    assert caught.value.retry_after_seconds == 60


async def test_a_server_that_only_ever_ends_its_streams_is_given_up(server: ScriptedServer) -> None:
    server.steps = [stream(b"retry: 10\n\n")] * 100
    async with WebEDTClient(server.url, "t", patience=IMPATIENT) as client:
        with pytest.raises(ConnectionFailed, match="ends every stream"):
            await read(client.resume(SESSION_ID))


async def test_something_that_is_no_webedt_server_is_recognised(server: ScriptedServer, client: WebEDTClient) -> None:
    server.steps = [answer(200, {"hello": "world"}), answer(200), answer(302, Location="https://elsewhere.example/")]
    with pytest.raises(ProtocolError, match="no event stream"):
        await read(client.execute("hello"))
    with pytest.raises(ProtocolError, match="not answer like"):
        await client.sessions()
    with pytest.raises(ProtocolError, match=r"redirects to https://elsewhere\.example/"):
        await client.login("a@example.org", "password")


async def test_a_run_whose_end_the_log_does_not_hold_is_an_error(server: ScriptedServer, client: WebEDTClient) -> None:
    server.steps = [stream(frame(1, "user_message"), breaks=True), answer(204)]
    with pytest.raises(ProtocolError, match="how run"):
        await read(client.execute("hello"))


async def test_login_uses_the_value_of_the_cookie_as_token(server: ScriptedServer) -> None:
    body = {"user": {"email": "ann@example.org"}, "session": {"id": "public", "expiresAt": "2030-01-01T00:00:00Z"}}
    cookie = "webedt_session=s3cret; HttpOnly; Path=/; SameSite=Lax"
    server.steps = [answer(200, body, Set_Cookie=cookie), answer(200, {"sessions": [{"id": "a"}], "nextCursor": "n"})]
    async with WebEDTClient(server.url) as client:
        login = await client.login("Ann@example.org", "password")
        page = await client.sessions(status="running", cursor="c+1")
    assert (login.token, login.email, login.expires_at) == ("s3cret", "ann@example.org", "2030-01-01T00:00:00Z")
    assert (page.sessions, page.next_cursor) == ([{"id": "a"}], "n")
    _, path, headers, _ = server.requests[1]
    assert path == "/api/sessions?limit=50&status=running&cursor=c%2B1"
    assert headers["Authorization"] == "Bearer s3cret"
    assert "Cookie" not in headers


async def test_a_run_is_started_without_being_followed_and_may_name_a_repository(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    accepted = {"sessionId": SESSION_ID, "runId": RUN_ID, "status": "running"}
    server.steps = [refusal(503, "unavailable", Retry_After="0"), answer(202, accepted)]
    run = await client.start("hello", repository_url="https://github.com/o/r", branch="main")
    assert (run.session_id, run.status) == (SESSION_ID, "running")
    first, second = server.requests
    assert first[2]["Idempotency-Key"] == second[2]["Idempotency-Key"]
    assert second[2]["Prefer"] == "respond-async"
    assert second[3] == {"userRequest": "hello", "github": {"repoUrl": "https://github.com/o/r", "branch": "main"}}


async def test_sending_is_repeated_under_one_key_until_it_is_answered(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    accepted = {"sessionId": SESSION_ID, "runId": RUN_ID, "status": "queued", "position": 1}
    server.steps = [refusal(503, "unavailable", Retry_After="0"), answer(202, accepted)]
    run = await client.send(SESSION_ID, "more", on_busy="queue")
    assert (run.run_id, run.status) == (RUN_ID, "queued")
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.requests}) == 1


async def test_an_interrupt_is_repeated_only_when_it_names_its_run(
    server: ScriptedServer, client: WebEDTClient
) -> None:
    server.interrupt_steps = [refusal(503, "unavailable", Retry_After="0")]
    assert (await client.interrupt(SESSION_ID, RUN_ID)).status == "interrupting"
    server.interrupt_steps = [refusal(503, "unavailable", Retry_After="0")]
    with pytest.raises(Unavailable):
        await client.interrupt(SESSION_ID)
    assert [body for _, _, _, body in server.requests] == [{"runId": RUN_ID}, {"runId": RUN_ID}, {}]


async def test_an_answer_that_is_not_json_still_becomes_a_typed_error(
    server: ScriptedServer,
) -> None:
    server.steps = [answer(502)]
    async with WebEDTClient(server.url, "t") as client:
        with pytest.raises(Unavailable, match="answered 502"):
            await client.sessions()


def test_delays_double_up_to_the_cap_and_never_undercut_what_the_server_asked_for() -> None:
    patience = Patience(base_seconds=1, cap_seconds=5, give_up_after_seconds=1000, before_accepted_seconds=1000)
    backoff = Backoff(patience, clock=lambda: 0.0, uniform=lambda low, high: high)
    assert [backoff.next_retry(None, None).delay_seconds for _ in range(4)] == [1, 2, 4, 5]
    backoff.progress()
    assert backoff.next_retry(None, 7.0).delay_seconds == 8
    lucky = Backoff(patience, clock=lambda: 0.0, uniform=lambda low, high: low)
    assert lucky.next_retry(None, 7.0).delay_seconds == 7
