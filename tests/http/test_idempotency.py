"""`Idempotency-Key`: the same user, key and body mean the same run."""

import asyncio
import json
from typing import Any

import pytest

from tests.http.client import LONG, SHORT, Client
from tests.http.conftest import StartReplica
from tests.http.wire import ids, logged

EXECUTE = "/api/execute-remote"


async def test_the_same_request_twice_is_one_run_with_one_stream(user: Client) -> None:
    async with user.stream(EXECUTE, {"userRequest": SHORT}, Idempotency_Key="k") as first:
        before = logged(await first.rest())
    async with user.stream(EXECUTE, {"userRequest": SHORT}, Idempotency_Key="k") as again:
        assert again.head["X-Run-ID"] == first.head["X-Run-ID"]
        assert again.head["X-Session-ID"] == first.head["X-Session-ID"]
        after = logged(await again.rest())
    assert [frame.lines for frame in after] == [frame.lines for frame in before]
    assert len((await user.get("/api/sessions")).json()["sessions"]) == 1


async def test_a_repeat_while_the_run_goes_on_streams_all_of_it(user: Client) -> None:
    body = {"userRequest": "[[tokens=20 rate=100]]"}
    async with user.stream(EXECUTE, body, Idempotency_Key="k") as first:
        await first.until("text_delta")
    async with user.stream(EXECUTE, body, Idempotency_Key="k") as again:
        found = logged(await again.rest())
    assert ids(found) == list(range(1, len(found) + 1))
    assert found[-1].event == "completed"


async def test_neither_spaces_nor_the_order_of_fields_make_another_body(user: Client) -> None:
    repository = "https://github.com/o/r"
    body = {"userRequest": "h\u00e9", "github": {"repoUrl": repository, "branch": "b"}, "onBusy": "queue"}
    shuffled = {"onBusy": "queue", "github": {"branch": "b", "repoUrl": repository}, "userRequest": "h\u00e9"}
    spellings = [
        json.dumps(body).encode(),
        json.dumps(shuffled, indent=3).encode(),
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n ",
    ]
    answers = [await user.post(EXECUTE, raw, Idempotency_Key="k", Prefer="respond-async") for raw in spellings]
    assert [answer.status for answer in answers] == [202] * 3
    assert len({answer.json()["runId"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"userRequest": "other"},
        {"userRequest": "one", "model": "m"},
        {"userRequest": [{"type": "text", "text": "one"}]},
    ],
)
async def test_another_body_under_the_same_key_is_a_conflict(user: Client, other: dict[str, Any]) -> None:
    key = {"Idempotency_Key": "k", "Prefer": "respond-async"}
    assert (await user.post(EXECUTE, {"userRequest": "one"}, **key)).status == 202
    answer = await user.post(EXECUTE, other, **key)
    assert (answer.status, answer.code) == (409, "conflict")
    assert len((await user.get("/api/sessions")).json()["sessions"]) == 1


async def test_many_at_once_make_one_run(user: Client) -> None:
    key = {"Idempotency_Key": "k", "Prefer": "respond-async"}
    answers = await asyncio.gather(*(user.post(EXECUTE, {"userRequest": SHORT}, **key) for _ in range(10)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json()["runId"] for answer in answers}) == 1
    assert len((await user.get("/api/sessions")).json()["sessions"]) == 1


async def test_keys_of_two_users_and_of_two_routes_do_not_meet(user: Client, stranger: Client) -> None:
    key = {"Idempotency_Key": "k", "Prefer": "respond-async"}
    mine = (await user.post(EXECUTE, {"userRequest": SHORT}, **key)).json()
    theirs = (await stranger.post(EXECUTE, {"userRequest": "other"}, **key)).json()
    sent = await user.post(f"/api/sessions/{mine['sessionId']}/send", {"message": "more"}, Idempotency_Key="k")
    assert sent.status == 202
    assert len({mine["runId"], theirs["runId"], sent.json()["runId"]}) == 3


async def test_without_a_key_every_request_is_a_new_run(user: Client) -> None:
    assert (await user.start(SHORT))["runId"] != (await user.start(SHORT))["runId"]


async def test_a_refused_request_does_not_use_its_key_up(user: Client) -> None:
    key = {"Idempotency_Key": "k", "Prefer": "respond-async"}
    assert (await user.post(EXECUTE, {"userRequest": "x", "provider": "none"}, **key)).status == 400
    session_id = (await user.start(LONG))["sessionId"]
    body = {"userRequest": "x", "websiteSessionId": session_id}
    assert (await user.post(EXECUTE, {**body, "onBusy": "reject"}, **key)).status == 409
    assert (await user.post(EXECUTE, body, **key)).status == 202


async def test_a_repeat_of_send_answers_the_same_run(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    path = f"/api/sessions/{session_id}/send"
    first, again = [await user.post(path, {"message": "more"}, Idempotency_Key="k") for _ in range(2)]
    assert first.status == again.status == 202
    assert first.json()["runId"] == again.json()["runId"]
    assert (await user.post(path, {"message": "other"}, Idempotency_Key="k")).status == 409


@pytest.mark.parametrize("key", ["", "k" * 201, "caf\u00e9"])
async def test_a_key_beyond_measure_is_refused(user: Client, key: str) -> None:
    answer = await user.post(EXECUTE, {"userRequest": "x"}, Idempotency_Key=key)
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_a_key_of_200_characters_is_taken(user: Client) -> None:
    answer = await user.post(EXECUTE, {"userRequest": SHORT}, Idempotency_Key="k" * 200, Prefer="respond-async")
    assert answer.status == 202


async def test_a_key_lives_24_hours(user: Client, database: Any) -> None:
    key = {"Idempotency_Key": "a-key-that-ages", "Prefer": "respond-async"}
    aged = "UPDATE idempotency_keys SET created_at = now() - make_interval(hours => $1) WHERE key = 'a-key-that-ages'"
    first = (await user.post(EXECUTE, {"userRequest": SHORT}, **key)).json()["runId"]
    await database.execute(aged, 23)
    assert (await user.post(EXECUTE, {"userRequest": SHORT}, **key)).json()["runId"] == first
    await database.execute(aged, 25)
    assert (await user.post(EXECUTE, {"userRequest": SHORT}, **key)).json()["runId"] != first


async def test_repeats_that_held_the_session_while_its_run_was_to_be_claimed_do_not_delay_it(
    start: StartReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim does not wait for the session's head, and a repeat locks it too: who comes last has to say so."""
    monkeypatch.setattr("webedt.services.execution.SWEEP_SECONDS", 600.0)
    async with start() as app:
        user = await app.register()
        session_id = await user.finish()
        for number in range(10):
            message = {"message": SHORT}
            path = f"/api/sessions/{session_id}/send"
            async with asyncio.timeout(30):
                await asyncio.gather(*(user.post(path, message, Idempotency_Key=f"k{number}") for _ in range(8)))
                async with user.stream(f"/api/resume/{session_id}?lastEventId={8 * (number + 1)}") as stream:
                    await stream.until("completed")
