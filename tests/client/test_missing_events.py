"""The client checks that nothing is missing, and reads again what is."""

from contextlib import aclosing

import pytest

from tests.client.scripted_server import (
    SESSION_ID,
    ScriptedServer,
    answer,
    completed,
    delta,
    frame,
    stream,
)
from webedt.client import Event, EventStream, MissingEvents, Patience, Retry, WebEDTClient
from webedt.client.ledger import Ledger

PATIENT = Patience(base_seconds=0.01, cap_seconds=0.02, before_accepted_seconds=10, give_up_after_seconds=10)


def event(event_id: int, kind: str = "text_delta", **data: object) -> Event:
    return Event(event_id, kind, dict(data))


def taken(ledger: Ledger, *events: Event) -> list[list[int | None]]:
    return [[good.id for good in ledger.take(one)] for one in events]


async def ids(events: EventStream) -> list[int]:
    async with aclosing(aiter(events)) as opened:
        return [one.id async for one in opened if one.id is not None]


def client_of(server: ScriptedServer) -> WebEDTClient:
    return WebEDTClient(server.url, "t", patience=PATIENT)


def caught_up(last_id: int) -> bytes:
    return frame(None, "caught_up", lastEventId=last_id, status="running")


def test_what_comes_behind_a_gap_waits_for_the_message_that_explains_it() -> None:
    explained = event(7, "message", replacesFrom=3)
    ledger = Ledger(2)
    assert taken(ledger, event(5, "tool_use"), event(6), event(6), explained, event(8)) == [[], [], [], [5, 6, 7], [8]]


def test_a_message_explains_a_gap_from_its_first_delta_on() -> None:
    assert taken(Ledger(5), event(9, "message", replacesFrom=2)) == [[9]]
    assert taken(Ledger(5), event(9, "message", replacesFrom=6)) == [[9]]
    assert taken(Ledger(5), event(9, "message", replacesFrom=7)) == [[]]
    assert taken(Ledger(5), event(9, "message", replacesFrom=None)) == [[]]


def test_two_messages_whose_deltas_were_mixed_explain_one_gap_together() -> None:
    first, second = event(7, "message", replacesFrom=5), event(8, "message", replacesFrom=3)
    assert taken(Ledger(2), first, second) == [[], [7, 8]]


def test_a_replay_that_ends_with_a_gap_or_too_early_is_noticed() -> None:
    ledger = Ledger(1)
    ledger.take(event(3))
    with pytest.raises(MissingEvents, match="1 was followed by 3"):
        ledger.settle(3)
    with pytest.raises(MissingEvents, match="3 was followed by 5"):
        Ledger(3).settle(4)


async def test_a_gap_in_the_live_stream_is_told_and_read_again_from_the_last_good_event(
    server: ScriptedServer,
) -> None:
    server.steps = [
        stream(frame(1, "user_message"), caught_up(1), delta(3, "b")),
        stream(delta(2, "a"), delta(3, "b"), completed(4)),
    ]
    gaps: list[MissingEvents] = []
    async with client_of(server) as client:
        run = client.execute("hello")
        run.on_gap = gaps.append
        assert await ids(run) == [1, 2, 3, 4]
    assert [(gap.after, gap.next_id) for gap in gaps] == [(1, 3)]
    assert server.cursors == ["POST", "1"]


async def test_gaps_that_are_closed_by_reading_again_do_not_add_up(server: ScriptedServer) -> None:
    gaps = [stream(delta(number, "x"), caught_up(number), delta(number + 2, "y")) for number in range(2, 8)]
    server.steps = [*gaps, stream(delta(8, "z"), completed(9)), answer(204)]
    async with client_of(server) as client:
        assert await ids(client.resume(SESSION_ID, after=1)) == list(range(2, 10))


async def test_events_that_stay_missing_are_an_error(server: ScriptedServer) -> None:
    server.steps = [stream(delta(3, "b"), caught_up(3))] * 9
    async with client_of(server) as client:
        with pytest.raises(MissingEvents):
            await ids(client.resume(SESSION_ID, after=1))
    assert server.cursors == ["1"] * 4


async def test_the_first_event_of_a_new_session_is_missed_and_that_of_an_old_one_is_not(
    server: ScriptedServer,
) -> None:
    server.steps = [
        stream(frame(2, "run_started"), caught_up(2)),
        stream(frame(1, "user_message"), completed(2)),
        stream(frame(41, "user_message"), completed(42)),
    ]
    async with client_of(server) as client:
        assert await ids(client.execute("hello")) == [1, 2]
        assert await ids(client.execute("hello", session_id=SESSION_ID)) == [41, 42]


async def test_a_run_that_is_accepted_without_its_stream_is_asked_for_again_under_the_same_key(
    server: ScriptedServer,
) -> None:
    accepted = {"sessionId": SESSION_ID, "runId": "r", "status": "queued"}
    named = {"X_Session_ID": SESSION_ID, "X_Run_ID": "50000000-0000-4000-8000-000000000001"}
    server.steps = [answer(202, accepted, **named), stream(frame(1, "user_message"), completed(2))]
    retries: list[Retry] = []
    async with client_of(server) as client:
        run = client.execute("hello")
        run.on_retry = retries.append
        assert await ids(run) == [1, 2]
    assert "cannot begin yet" in str(retries[0].error)
    assert server.cursors == ["POST", "POST"]
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.requests}) == 1
