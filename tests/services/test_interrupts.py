"""Interrupting: durable, idempotent, from any replica, before a run starts, while it runs, and after it ended."""

import asyncio

import pytest

from tests.support.log_harness import LogDatabase
from tests.support.replica import ENDLESS, SILENT, Replica, of_run, only, until_deltas, until_status
from webedt.domain.errors import Conflict, NotFound


async def test_a_running_run_ends_as_interrupted_from_any_replica(
    log: LogDatabase, replica: Replica, full_replica: Replica
) -> None:
    running = await replica.prompt(log, ENDLESS)
    await until_deltas(log, running.session_id, 3)
    assert await full_replica.runs.interrupt(log.user_id, running.session_id, None) == running.run_id
    run = await until_status(log, running.run_id, "interrupted")
    events = await log.log(running.session_id)
    seq, data = only(events, "interrupted")
    assert (seq, data) == (run["end_seq"], {"runId": str(running.run_id), "by": "user"})
    assert seq == events[-1].id
    assert (await log.session(running.session_id))["status"] == "interrupted"


async def test_an_interrupt_reaches_a_provider_that_says_nothing(log: LogDatabase, replica: Replica) -> None:
    running = await replica.prompt(log, SILENT)
    await replica.runs.interrupt(log.user_id, running.session_id, running.run_id)
    await until_status(log, running.run_id, "interrupted", seconds=5)


async def test_an_interrupt_whose_signal_is_lost_is_only_later(log: LogDatabase, replica: Replica) -> None:
    running = await replica.prompt(log, ENDLESS)
    # What the request stores, without what it tells the others.
    await log.connection.execute(
        "UPDATE runs SET interrupt_requested_at = now(), interrupt_by = 'user' WHERE id = $1", running.run_id
    )
    await until_status(log, running.run_id, "interrupted", seconds=5)


async def test_a_queued_run_ends_at_once_and_never_starts(
    log: LogDatabase, replica: Replica, full_replica: Replica
) -> None:
    running = await replica.prompt(log, ENDLESS)
    waiting = await replica.prompt(log, session_id=running.session_id)
    await full_replica.runs.interrupt(log.user_id, running.session_id, waiting.run_id)
    assert (await log.run(waiting.run_id))["status"] == "interrupted"
    assert (await log.session(running.session_id))["status"] == "running"
    await replica.runs.interrupt(log.user_id, running.session_id, None)
    await until_status(log, running.run_id, "interrupted")
    events = of_run(await log.log(running.session_id), waiting.run_id)
    assert [event.type for event in events] == ["user_message", "interrupted"]
    head = await log.head(running.session_id)
    assert (head["running_run_id"], head["queued_runs"]) == (None, 0)


async def test_without_a_running_run_it_is_the_head_of_the_queue_that_ends(
    log: LogDatabase, full_replica: Replica
) -> None:
    first = await full_replica.prompt(log)
    second = await full_replica.prompt(log, session_id=first.session_id)
    for expected, status in ((first, "pending"), (second, "interrupted")):
        assert await full_replica.runs.interrupt(log.user_id, first.session_id, None) == expected.run_id
        assert (await log.session(first.session_id))["status"] == status
    with pytest.raises(Conflict, match="Nothing"):
        await full_replica.runs.interrupt(log.user_id, first.session_id, None)


async def test_interrupting_many_times_at_once_ends_a_run_once(
    log: LogDatabase, replica: Replica, other: Replica
) -> None:
    running = await replica.prompt(log, ENDLESS)
    asked = await asyncio.gather(
        *((replica, other)[n % 2].runs.interrupt(log.user_id, running.session_id, running.run_id) for n in range(10)),
        return_exceptions=True,
    )
    assert running.run_id in asked
    assert all(one == running.run_id or isinstance(one, Conflict) for one in asked)
    await until_status(log, running.run_id, "interrupted")
    only(await log.log(running.session_id), "interrupted")


async def test_a_run_that_has_ended_cannot_be_interrupted_and_stays_as_it_is(
    log: LogDatabase, replica: Replica
) -> None:
    done = await replica.prompt(log)
    await until_status(log, done.run_id, "completed")
    before = await log.log(done.session_id)
    with pytest.raises(Conflict, match="has ended"):
        await replica.runs.interrupt(log.user_id, done.session_id, done.run_id)
    assert await log.log(done.session_id) == before


async def test_a_strangers_run_is_not_found(log: LogDatabase, full_replica: Replica, database_url: str) -> None:
    mine, another = await full_replica.prompt(log), await full_replica.prompt(log)
    async with LogDatabase(database_url) as stranger:
        with pytest.raises(NotFound):
            await full_replica.runs.interrupt(stranger.user_id, mine.session_id, mine.run_id)
    with pytest.raises(NotFound):
        await full_replica.runs.interrupt(log.user_id, mine.session_id, another.run_id)
    assert await log.types(mine.session_id) == ["user_message"]


async def test_deleting_a_session_ends_what_waits_and_stops_what_runs(log: LogDatabase, replica: Replica) -> None:
    running = await replica.prompt(log, ENDLESS)
    waiting = await replica.prompt(log, session_id=running.session_id)
    await replica.sessions.delete(log.user_id, running.session_id)
    assert (await log.run(waiting.run_id))["status"] == "interrupted"
    await until_status(log, running.run_id, "interrupted")
    events = await log.log(running.session_id)
    for run_id in (running.run_id, waiting.run_id):
        assert only(of_run(events, run_id), "interrupted")[1]["by"] == "delete"
    with pytest.raises(NotFound):
        await replica.prompt(log, session_id=running.session_id)
