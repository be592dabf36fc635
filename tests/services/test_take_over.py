"""What happens to a run when the replica that drives it dies, freezes, loses it or gives it away."""

import asyncio
from uuid import UUID, uuid4

import pytest

from tests.support.log_harness import Claimed, EntryOf, LogDatabase, ending
from tests.support.replica import ENDLESS, SHORT, SILENT, Replica, answer_of, of_run, only, until_deltas, until_status
from tests.support.waiting import eventually
from webedt.domain.events import NewEvent, encode_data, encode_delta
from webedt.providers.simulated import simulated_text

TOKENS, SIZE, SEED = 50, 6, 3
PROMPT = f"[[tokens={TOKENS} rate=0 size={SIZE} seed={SEED}]]"
ANSWER = simulated_text(TOKENS * SIZE, SEED)
QUICK = {"lease_seconds": 0.4}


async def silent_owner(log: LogDatabase) -> UUID:
    """An instance whose last beat was long ago."""
    owner = uuid4()
    await log.connection.execute(
        "INSERT INTO instances (id, container_id, heartbeat_at) VALUES ($1, 'gone', now() - interval '1 minute')", owner
    )
    return owner


async def abandoned_run(log: LogDatabase, emitted: int, prompt: str = PROMPT) -> Claimed:
    """A run whose dead driver got so many deltas into the log, with the checkpoint that stands for them."""
    session_id = await log.new_session()
    await log.accept(session_id, text=prompt)
    run = await log.claim(session_id, await silent_owner(log))
    if emitted:
        pieces = [ANSWER[k * SIZE : (k + 1) * SIZE] for k in range(emitted)]
        message_id = f"sim_{run.run_id.hex}"
        events = [NewEvent("text_delta", encode_delta(str(run.run_id), message_id, piece)) for piece in pieces]
        await log.append(EntryOf(run, 1, events, checkpoint=encode_data({"emitted": emitted})))
    return run


def counted(replica: Replica) -> dict[str, float]:
    """What the replica counts of the runs that it took over: a hand-over is no loss."""
    names = ("webedt_runs_recovered", "webedt_runs_lost")
    return {family.name: family.samples[0].value for family in replica.metrics.collect() if family.name in names}


@pytest.mark.parametrize("emitted", [0, 1, 20, TOKENS])
async def test_a_run_whose_replica_died_goes_on_with_nothing_lost_and_nothing_doubled(
    log: LogDatabase, database_url: str, emitted: int
) -> None:
    run = await abandoned_run(log, emitted)
    await log.accept(run.session_id, text=SHORT)  # another prompt stands between the two attempts
    async with Replica(database_url, "b", **QUICK).running() as successor:
        row = await until_status(log, run.run_id, "completed")
        assert (row["attempt"], row["owner"]) == (2, successor.identity.instance_id)
        assert counted(successor) == {"webedt_runs_recovered": 1, "webedt_runs_lost": 1}
    events = of_run(await log.log(run.session_id), run.run_id)
    recovered, data = only(events, "run_recovered")
    assert (data["attempt"], data["container"]) == (2, "b")
    assert recovered == 2 + emitted + 2
    tokens = [event for event in events if event.type == "text_delta"]
    assert (len(tokens), answer_of(events)) == (TOKENS, ANSWER)
    _, message = only(events, "message")
    assert message["content"] == [{"type": "text", "text": ANSWER}]
    assert message["replacesFrom"] == tokens[0].id
    assert [event.type for event in events[-3:]] == ["message", "usage", "completed"]


async def test_a_run_whose_replica_died_between_its_message_and_its_end_is_only_ended(
    log: LogDatabase, database_url: str
) -> None:
    run = await abandoned_run(log, TOKENS)
    message = NewEvent("message", encode_data({"runId": str(run.run_id), "messageId": f"sim_{run.run_id.hex}"}))
    await log.append(EntryOf(run, TOKENS + 1, [message], checkpoint=encode_data({"emitted": TOKENS + 1})))
    async with Replica(database_url, "b", **QUICK).running():
        await until_status(log, run.run_id, "completed")
    types = await log.types(run.session_id)
    assert (types.count("text_delta"), types[-3:]) == (TOKENS, ["message", "run_recovered", "completed"])


async def test_a_run_with_too_many_attempts_is_ended_and_the_queue_behind_it_goes_on(
    log: LogDatabase, database_url: str
) -> None:
    run = await abandoned_run(log, 5)
    waiting = await log.accept(run.session_id, text=SHORT)
    await log.connection.execute("UPDATE runs SET attempt = 4, handovers = 1 WHERE id = $1", run.run_id)
    async with Replica(database_url, "b", max_attempts=3, **QUICK).running():
        await until_status(log, run.run_id, "failed")
        await until_status(log, waiting, "completed")
    _, data = only(of_run(await log.log(run.session_id), run.run_id), "failed")
    assert (data["code"], data["retryable"]) == ("too_many_attempts", True)


async def test_attempts_after_a_hand_over_are_not_held_against_a_run(log: LogDatabase, database_url: str) -> None:
    run = await abandoned_run(log, 5)
    await log.connection.execute("UPDATE runs SET attempt = 7, handovers = 5 WHERE id = $1", run.run_id)
    async with Replica(database_url, "b", max_attempts=3, **QUICK).running():
        await until_status(log, run.run_id, "completed")


async def test_an_interrupt_that_the_dead_replica_did_not_see_is_honoured_instead_of_a_take_over(
    log: LogDatabase, database_url: str
) -> None:
    run = await abandoned_run(log, 5, ENDLESS)
    await log.connection.execute(
        "UPDATE runs SET interrupt_requested_at = now(), interrupt_by = 'user' WHERE id = $1", run.run_id
    )
    async with Replica(database_url, "b", **QUICK).running():
        await until_status(log, run.run_id, "interrupted")
    types = await log.types(run.session_id)
    assert types == ["user_message", "run_started", *["text_delta"] * 5, "interrupted"]


async def test_a_take_over_needs_no_room(log: LogDatabase, database_url: str) -> None:
    run = await abandoned_run(log, 5)
    async with Replica(database_url, "b", max_active_runs=0, **QUICK).running():
        await until_status(log, run.run_id, "completed")


async def test_two_replicas_that_find_the_same_abandoned_runs_drive_each_of_them_once(
    log: LogDatabase, database_url: str
) -> None:
    runs = [await abandoned_run(log, k) for k in range(6)]
    async with Replica(database_url, "b", **QUICK).running(), Replica(database_url, "c", **QUICK).running():
        for run in runs:
            assert (await until_status(log, run.run_id, "completed"))["attempt"] == 2
    for run in runs:
        events = await log.log(run.session_id)
        only(events, "run_recovered")
        assert answer_of(events) == ANSWER


async def test_a_run_of_a_living_replica_is_left_alone_however_long_it_says_nothing(
    log: LogDatabase, replica: Replica, other: Replica
) -> None:
    silent = await replica.prompt(log, SILENT)
    await log.connection.execute("UPDATE runs SET started_at = now() - interval '1 day'")
    await log.connection.execute("UPDATE events SET created_at = now() - interval '1 day'")
    await other.may_take_over()
    marker = await abandoned_run(log, 5)  # its end shows that the other one has looked
    await until_status(log, marker.run_id, "completed")
    run = await log.run(silent.run_id)
    assert (run["attempt"], run["owner"]) == (1, replica.identity.instance_id)


async def test_a_run_in_full_flow_survives_the_crash_of_its_replica(
    log: LogDatabase, replica: Replica, other: Replica
) -> None:
    await other.may_take_over()
    running = await replica.prompt(log, "[[tokens=200 rate=150 size=5 seed=8]]")
    assert running.status == "running"
    await until_deltas(log, running.session_id, 10)
    await replica.crash()
    run = await until_status(log, running.run_id, "completed")
    assert run["owner"] == other.identity.instance_id
    events = await log.log(running.session_id)
    assert answer_of(events) == simulated_text(1000, 8)
    tokens = [event for event in events if event.type == "text_delta"]
    assert len(tokens) == 200
    assert only(events, "message")[1]["replacesFrom"] == tokens[0].id
    only(events, "run_recovered")


async def test_a_replica_that_comes_back_from_a_pause_adds_nothing_to_a_run_that_another_one_has_taken(
    log: LogDatabase, replica: Replica, other: Replica
) -> None:
    await other.may_take_over()
    running = await replica.prompt(log, "[[tokens=250 rate=80 size=5 seed=9]]")
    await until_deltas(log, running.session_id, 5)
    await replica.freeze_heartbeat()
    await eventually(lambda: other.execution.active == 1, "the other one has taken it over")
    assert not replica.heartbeat.valid
    replica.thaw_heartbeat()
    await eventually(lambda: replica.execution.active == 0, "the zombie stops")
    run = await until_status(log, running.run_id, "completed")
    assert (run["owner"], run["attempt"]) == (other.identity.instance_id, 2)
    events = await log.log(running.session_id)
    assert answer_of(events) == simulated_text(1250, 9)
    only(events, "completed")


async def test_a_driver_whose_provider_is_silent_stops_once_its_run_is_anothers(
    log: LogDatabase, replica: Replica, full_replica: Replica
) -> None:
    """It appends nothing that could be refused, so that it must be told otherwise (else it holds its upstream)."""
    running = await replica.prompt(log, SILENT)
    assert replica.execution.active == 1
    await log.take_over(Claimed(running.session_id, running.run_id, 1), full_replica.identity.instance_id)
    await eventually(lambda: replica.execution.active == 0, "the driver stops", seconds=5)


async def test_a_driver_whose_run_was_ended_by_somebody_else_stops(log: LogDatabase, replica: Replica) -> None:
    running = await replica.prompt(log, SILENT)
    run = Claimed(running.session_id, running.run_id, 1)
    await log.append(EntryOf(run, 1, [ending(run)], outcome="completed"))
    await eventually(lambda: replica.execution.active == 0, "the driver stops", seconds=5)
    assert (await log.types(running.session_id))[-1] == "completed"


async def test_a_run_that_is_ours_by_the_database_and_not_driven_is_driven_again(
    log: LogDatabase, replica: Replica
) -> None:
    """As after a claim whose answer was lost: its owner lives, so nobody else will ever take it."""
    session_id = await log.new_session()
    run_id = await log.accept(session_id, text=PROMPT)
    await log.claim(session_id, replica.identity.instance_id)
    run = await until_status(log, run_id, "completed")
    assert (run["attempt"], run["owner"]) == (2, replica.identity.instance_id)
    assert answer_of(await log.log(session_id)) == ANSWER


async def test_a_run_whose_answer_cannot_be_stored_is_ended_and_those_beside_it_go_on(
    log: LogDatabase, replica: Replica
) -> None:
    session_id = await log.new_session()
    await log.fail_appends(session_id, "22P05")  # untranslatable character
    beside = await replica.prompt(log, "[[tokens=30 rate=100 size=4 seed=1]]")
    refused = await replica.prompt(log, session_id=session_id)
    waiting = await replica.prompt(log, "[[tokens=0 rate=0]]", session_id=session_id)
    await until_status(log, refused.run_id, "failed")
    _, data = only(of_run(await log.log(session_id), refused.run_id), "failed")
    assert data["code"] == "not_storable"
    assert (await log.run(refused.run_id))["attempt"] == 1
    for other_run in (beside.run_id, waiting.run_id):
        await until_status(log, other_run, "completed")


async def test_a_run_that_is_handed_over_goes_on_elsewhere_at_the_very_next_token(
    log: LogDatabase, replica: Replica, database_url: str
) -> None:
    running = await replica.prompt(log, "[[tokens=120 rate=100 size=5 seed=4]]")
    await until_deltas(log, running.session_id, 10)
    async with Replica(database_url, "b", max_attempts=1).running() as successor:
        await asyncio.wait_for(replica.execution.hand_over(5, asyncio.Event()), 5)
        assert replica.execution.active == 0
        run = await until_status(log, running.run_id, "completed")
        assert (run["owner"], run["attempt"], run["handovers"]) == (successor.identity.instance_id, 2, 1)
        assert counted(successor) == {"webedt_runs_recovered": 1, "webedt_runs_lost": 0}
    events = await log.log(running.session_id)
    assert answer_of(events) == simulated_text(600, 4)
    tokens = [event for event in events if event.type == "text_delta"]
    assert len(tokens) == 120
    assert only(events, "message")[1]["replacesFrom"] == tokens[0].id
    assert only(events, "run_recovered")[1]["attempt"] == 2


async def test_a_replica_that_hands_over_claims_nothing_more(
    log: LogDatabase, replica: Replica, database_url: str
) -> None:
    running = await replica.prompt(log, ENDLESS)
    await until_deltas(log, running.session_id, 1)
    await asyncio.wait_for(replica.execution.hand_over(5, asyncio.Event()), 5)
    run = await log.run(running.run_id)
    assert (run["status"], run["owner"], run["handovers"]) == ("running", None, 1)
    late = await replica.prompt(log)
    assert late.status == "queued"
    assert not await replica.execution.claim(late.session_id)
    async with Replica(database_url, "b").running() as successor:
        await until_status(log, late.run_id, "completed")
        await eventually(lambda: successor.execution.active == 1, "the released run is driven")


async def test_a_run_is_handed_over_together_with_everything_it_said(
    log: LogDatabase, replica: Replica, database_url: str
) -> None:
    """Full speed, so that much is on its way to the log at the moment of the release."""
    running = await replica.prompt(log, "[[tokens=60000 rate=0 size=4 seed=5]]")
    await until_deltas(log, running.session_id, 1)
    await asyncio.wait_for(replica.execution.hand_over(5, asyncio.Event()), 8)
    run = await log.run(running.run_id)
    said = [event for event in await log.log(running.session_id) if event.type == "text_delta"]
    assert run["checkpoint"] == encode_data({"emitted": len(said)})
    assert 0 < len(said) < 60000
