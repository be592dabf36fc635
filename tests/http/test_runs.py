"""Sending follow-ups and interrupting."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.http.client import LONG, SHORT, Client
from tests.http.wire import Frame, logged


async def log_of(user: Client, session_id: str) -> list[Frame]:
    async with user.stream(f"/api/resume/{session_id}") as stream:
        return logged(await stream.rest())


def ends(frames: list[Frame]) -> list[tuple[str | None, str]]:
    terminal = ("completed", "failed", "interrupted")
    return [(frame.event, frame.data["runId"]) for frame in frames if frame.event in terminal]


async def send(user: Client, session_id: str, message: Any = SHORT, **more: Any) -> dict[str, Any]:
    answer = await user.post(f"/api/sessions/{session_id}/send", {"message": message, **more})
    assert answer.status == 202, answer.body
    found: dict[str, Any] = answer.json()
    assert found.keys() == {"sessionId", "runId", "status", "position"}
    assert found["sessionId"] == session_id
    return found


async def test_a_message_to_an_idle_session_runs(user: Client) -> None:
    session_id = await user.finish()
    sent = await send(user, session_id)
    assert (sent["status"], sent["position"]) == ("running", 0)
    assert str(UUID(sent["runId"])) == sent["runId"]
    assert ends(await log_of(user, session_id))[-1] == ("completed", sent["runId"])


async def test_messages_to_a_busy_session_queue_in_order(user: Client) -> None:
    first = await user.start("[[tokens=10 rate=40]]")
    sent = [await send(user, first["sessionId"]) for _ in range(3)]
    assert [(one["status"], one["position"]) for one in sent] == [("queued", 1), ("queued", 2), ("queued", 3)]
    found = await log_of(user, first["sessionId"])
    assert ends(found) == [("completed", run_id) for run_id in (first["runId"], *(one["runId"] for one in sent))]


async def test_a_prompt_is_logged_when_it_is_accepted(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    sent = await send(user, session_id, [{"type": "text", "text": "second"}])
    page = (await user.get(f"/api/sessions/{session_id}/events?limit=5000")).json()
    logged_prompts = [event["data"] for event in page["events"] if event["type"] == "user_message"]
    assert logged_prompts[1] == {"runId": sent["runId"], "content": [{"type": "text", "text": "second"}]}


async def test_reject_on_a_busy_session_is_a_conflict(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    answer = await user.post(f"/api/sessions/{session_id}/send", {"message": "x", "onBusy": "reject"})
    assert (answer.status, answer.code) == (409, "conflict")
    idle = await user.finish()
    assert (await send(user, idle, onBusy="reject"))["status"] == "running"


async def test_interrupt_on_busy_stops_what_runs(user: Client) -> None:
    first = await user.start(LONG)
    sent = await send(user, first["sessionId"], onBusy="interrupt")
    assert ends(await log_of(user, first["sessionId"])) == [
        ("interrupted", first["runId"]), ("completed", sent["runId"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [{}, {"message": ""}, {"message": " "}, {"message": 1}, {"message": []}, {"message": "x", "onBusy": "never"},
     {"message": "x", "provider": "simulated"}, {"userRequest": "x"}, [], None],
)  # fmt: skip
async def test_what_is_no_message_is_refused(user: Client, body: Any) -> None:
    session_id = await user.finish()
    answer = await user.post(f"/api/sessions/{session_id}/send", body)
    assert (answer.status, answer.code) == (400, "invalid_request")


# Interrupt ------------------------------------------------------------------------------------------------------------


async def test_an_interrupt_ends_the_running_run_and_says_by_whom(user: Client) -> None:
    found = await user.start(LONG)
    session_id, run_id = found["sessionId"], found["runId"]
    answer = await user.post(f"/api/sessions/{session_id}/interrupt")
    assert answer.status == 202
    assert answer.json() == {"sessionId": session_id, "runId": run_id, "status": "interrupting"}
    async with asyncio.timeout(3):
        last = (await log_of(user, session_id))[-1]
    assert (last.event, last.data) == ("interrupted", {"runId": run_id, "by": "user"})
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["status"] == "interrupted"


@pytest.mark.parametrize("body", [None, {}, {"runId": None}])
async def test_a_body_is_optional(user: Client, body: Any) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    assert (await user.post(f"/api/sessions/{session_id}/interrupt", body)).status == 202


async def test_the_same_interrupt_again_gets_the_same_answer(user: Client) -> None:
    found = await user.start(LONG)
    path = f"/api/sessions/{found['sessionId']}/interrupt"
    answers = await asyncio.gather(*(user.post(path, {"runId": found["runId"]}) for _ in range(5)))
    statuses = [answer.status for answer in answers]
    # A repeat that comes when the run has ended is told so; one that comes before gets the first answer.
    assert 202 in statuses and set(statuses) <= {202, 409}
    assert len({answer.body for answer in answers if answer.status == 202}) == 1
    assert len(ends(await log_of(user, found["sessionId"]))) == 1


async def test_nothing_running_or_queued_is_a_conflict(user: Client) -> None:
    session_id = await user.finish()
    answer = await user.post(f"/api/sessions/{session_id}/interrupt")
    assert (answer.status, answer.code) == (409, "conflict")


async def test_a_run_that_has_ended_is_a_conflict(user: Client) -> None:
    found = await user.start(SHORT)
    await log_of(user, found["sessionId"])
    await send(user, found["sessionId"], LONG)
    answer = await user.post(f"/api/sessions/{found['sessionId']}/interrupt", {"runId": found["runId"]})
    assert (answer.status, answer.code) == (409, "conflict")


@pytest.mark.parametrize("run_id", ["", "x", "00000000-0000-4000-8000-000000000000"])
async def test_a_run_that_is_not_there_is_not_found(user: Client, run_id: str) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    answer = await user.post(f"/api/sessions/{session_id}/interrupt", {"runId": run_id})
    assert (answer.status, answer.code) == (404, "not_found")


async def test_a_run_of_another_session_is_not_found_here(user: Client) -> None:
    here, there = await user.start(LONG), await user.start(LONG)
    answer = await user.post(f"/api/sessions/{here['sessionId']}/interrupt", {"runId": there["runId"]})
    assert answer.status == 404


async def test_the_queue_goes_on_behind_an_interrupt(user: Client) -> None:
    first = await user.start(LONG)
    second = await send(user, first["sessionId"])
    assert (await user.post(f"/api/sessions/{first['sessionId']}/interrupt")).json()["runId"] == first["runId"]
    assert ends(await log_of(user, first["sessionId"])) == [
        ("interrupted", first["runId"]), ("completed", second["runId"]),
    ]  # fmt: skip


async def test_a_queued_run_can_be_interrupted_while_another_runs(user: Client) -> None:
    first = await user.start(LONG)
    second, third = [await send(user, first["sessionId"]) for _ in range(2)]
    path = f"/api/sessions/{first['sessionId']}/interrupt"
    assert (await user.post(path, {"runId": second["runId"]})).json()["runId"] == second["runId"]
    session = (await user.get(f"/api/sessions/{first['sessionId']}")).json()["session"]
    assert session["status"] == "running"
    assert (await user.post(path, {"runId": second["runId"]})).status == 409
    await user.post(path, {"runId": first["runId"]})
    assert ends(await log_of(user, first["sessionId"])) == [
        ("interrupted", second["runId"]), ("interrupted", first["runId"]), ("completed", third["runId"]),
    ]  # fmt: skip


@pytest.mark.parametrize("body", [[], "x", 1, {"runId": 1}, {"run": "x"}, b"{", b"\xff", b"null"])
async def test_an_interrupt_that_is_none_is_refused_and_stops_nothing(user: Client, body: Any) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    answer = await user.post(f"/api/sessions/{session_id}/interrupt", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["status"] == "running"
