"""The orphan sweep, the second net: what it ends, what it adopts, and what it leaves alone."""

from uuid import UUID, uuid4

import pytest

from tests.support.log_harness import Claimed, EntryOf, LogDatabase, RecordingBus, deltas, ending
from tests.support.pooling import settings_to
from tests.support.replica import of_run, only
from tests.support.waiting import eventually
from webedt.bus.interface import ABus
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.fleet.identity import Identity
from webedt.fleet.leadership import ALeadership, Leadership
from webedt.kernel import ATransactions, ServiceProvider
from webedt.services.cleanup import ACleanup, Cleanup
from webedt.telemetry.metrics import Metrics

TIMEOUT_MINUTES = 30.0
LEASE_SECONDS = 10.0


async def sweep(database_url: str) -> int:
    """Let a leader that does nothing but clean up sweep once; returns how many it ended."""
    identity, metrics = Identity(uuid4(), "cleaner"), Metrics("cleaner")
    database = PostgresDatabase(Settings(**settings_to(database_url), environment="test"), metrics)
    provider = ServiceProvider()
    provider.register(ADatabase, database)
    provider.register(ATransactions, database)
    provider.register(ABus, RecordingBus())
    provider.register(ALeadership, Leadership(identity, metrics, LEASE_SECONDS))
    cleanup = Cleanup(
        identity, metrics, timeout_minutes=TIMEOUT_MINUTES, interval_minutes=60, lease_seconds=LEASE_SECONDS
    )
    provider.register(ACleanup, cleanup)
    await provider.initialize()
    try:
        await database.wait_until_ready()

        async def swept() -> list[int]:
            last = await cleanup.last_run()
            return [] if last.at is None else [last.count]

        [count] = await eventually(swept, "the sweep has run")
        return count
    finally:
        await provider.reset()


async def owner(log: LogDatabase, silent_seconds: float) -> UUID:
    instance_id = uuid4()
    await log.connection.execute(
        "INSERT INTO instances (id, container_id, heartbeat_at)"
        " VALUES ($1, 'x', clock_timestamp() - make_interval(secs => $2))",
        instance_id,
        silent_seconds,
    )
    return instance_id


async def running(log: LogDatabase, silent_seconds: float, quiet_minutes: float) -> Claimed:
    """A running run with some deltas; its owner was last heard of, and anything happened in it, so long ago."""
    session_id = await log.new_session()
    await log.accept(session_id)
    run = await log.claim(session_id, await owner(log, silent_seconds))
    await log.append(EntryOf(run, 1, deltas(run, "a", "b")))
    await make_quiet(log, session_id, quiet_minutes)
    return run


async def make_quiet(log: LogDatabase, session_id: UUID, minutes: float) -> None:
    for statement in (
        "UPDATE chat_sessions SET updated_at = clock_timestamp() - make_interval(secs => 60 * $2) WHERE id = $1",
        "UPDATE events SET created_at = clock_timestamp() - make_interval(secs => 60 * $2) WHERE chat_session_id = $1",
    ):
        await log.connection.execute(statement, session_id, minutes)


async def test_a_quiet_run_whose_owner_is_dead_is_ended_with_an_event_that_says_why(
    log: LogDatabase, database_url: str
) -> None:
    run = await running(log, silent_seconds=60, quiet_minutes=31)
    waiting = await log.accept(run.session_id)
    await make_quiet(log, run.session_id, 31)
    await log.connection.execute("UPDATE chat_sessions SET status = 'running'")
    assert await sweep(database_url) == 1
    events = of_run(await log.log(run.session_id), run.run_id)
    seq, data = only(events, "failed")
    assert (data["code"], data["retryable"]) == ("orphaned", True)
    assert "30 minutes" in data["message"]
    ended = await log.run(run.run_id)
    assert (ended["status"], ended["end_seq"]) == ("failed", seq)
    head = await log.head(run.session_id)
    assert (head["running_run_id"], head["queued_runs"], head["fence"]) == (None, 1, run.fence + 1)
    assert (await log.session(run.session_id))["status"] == "pending"
    assert (await log.run(waiting))["status"] == "queued"
    [late] = await log.append(EntryOf(run, 3, deltas(run, "late")))
    assert late["base"] is None


@pytest.mark.parametrize(
    ("silent_seconds", "quiet_minutes"),
    [(1, 100_000), (60, 29), (1, 0), (60, 0)],
    ids=["healthy and very old", "dead but not quiet for long", "healthy", "dead a moment ago"],
)
async def test_a_run_that_is_healthy_or_was_active_lately_is_left_alone(
    log: LogDatabase, database_url: str, silent_seconds: float, quiet_minutes: float
) -> None:
    run = await running(log, silent_seconds, quiet_minutes)
    before = await log.log(run.session_id)
    assert await sweep(database_url) == 0
    assert await log.log(run.session_id) == before
    assert (await log.run(run.run_id))["status"] == "running"
    assert (await log.head(run.session_id))["fence"] == run.fence


async def test_a_session_whose_last_event_is_young_is_left_alone(log: LogDatabase, database_url: str) -> None:
    run = await running(log, silent_seconds=60, quiet_minutes=31)
    await log.append(EntryOf(run, 3, deltas(run, "c")))
    assert await sweep(database_url) == 0


async def test_a_session_where_a_prompt_only_waits_is_never_an_orphan(log: LogDatabase, database_url: str) -> None:
    session_id = await log.new_session()
    run_id = await log.accept(session_id)
    await make_quiet(log, session_id, 100_000)
    assert await sweep(database_url) == 0
    assert (await log.run(run_id))["status"] == "queued"


@pytest.mark.parametrize("outcome", ["completed", "failed", "interrupted"])
async def test_an_outcome_that_is_in_the_log_already_is_adopted_without_a_second_event(
    log: LogDatabase, database_url: str, outcome: str
) -> None:
    run = await running(log, silent_seconds=60, quiet_minutes=0)
    # As a program would leave it that stored the event and the columns apart.
    await log.append(EntryOf(run, 3, [ending(run, outcome)]))  # type: ignore[arg-type]
    await make_quiet(log, run.session_id, 31)
    assert await sweep(database_url) == 1
    events = await log.log(run.session_id)
    assert [event.type for event in events][-2:] == ["text_delta", outcome]
    ended = await log.run(run.run_id)
    assert (ended["status"], ended["end_seq"]) == (outcome, events[-1].id)
    assert (await log.head(run.session_id))["running_run_id"] is None
    assert (await log.session(run.session_id))["status"] == outcome


async def test_the_outcome_of_an_earlier_run_is_not_taken_for_that_of_the_orphan(
    log: LogDatabase, database_url: str
) -> None:
    first = await log.new_claim()
    await log.append(EntryOf(first, 1, [ending(first)], outcome="completed"))
    await log.accept(first.session_id)
    second = await log.claim(first.session_id, await owner(log, 60))
    await make_quiet(log, first.session_id, 31)
    assert await sweep(database_url) == 1
    assert (await log.run(second.run_id))["status"] == "failed"
    assert (await log.run(first.run_id))["status"] == "completed"
    only(of_run(await log.log(first.session_id), second.run_id), "failed")


async def test_a_session_that_says_running_though_its_last_run_has_ended_gets_that_outcome(
    log: LogDatabase, database_url: str
) -> None:
    run = await log.new_claim()
    await log.append(EntryOf(run, 1, [ending(run, "interrupted")], outcome="interrupted"))
    await log.connection.execute("UPDATE chat_sessions SET status = 'running'")
    await make_quiet(log, run.session_id, 31)
    assert await sweep(database_url) == 1
    assert (await log.session(run.session_id))["status"] == "interrupted"
    assert (await log.types(run.session_id)).count("interrupted") == 1


async def test_a_head_that_somebody_holds_is_left_for_the_next_sweep(log: LogDatabase, database_url: str) -> None:
    run = await running(log, silent_seconds=60, quiet_minutes=31)
    holder = await log.connect()
    await holder.execute("BEGIN")
    await holder.execute("SELECT FROM session_heads FOR NO KEY UPDATE")
    assert await sweep(database_url) == 0
    await holder.execute("ROLLBACK")
    await log.connection.execute("DELETE FROM leases")
    assert await sweep(database_url) == 1
    assert (await log.run(run.run_id))["status"] == "failed"
