"""The statement `append_batch`, on connections that the test controls: what it stores, and what it answers."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.log_harness import RUNS, EntryOf, LogDatabase, deltas, ending, texts, within
from tests.support.waiting import eventually


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogDatabase]:
    async with LogDatabase(database_url) as database:
        yield database


def ordered_ids(count: int) -> list[UUID]:
    """Session ids in the order in which a batch locks them."""
    return sorted(uuid4() for _ in range(count))


async def test_an_entry_is_stored_behind_what_is_there_already(log: LogDatabase) -> None:
    run = await log.new_claim()
    [row] = await log.append(EntryOf(run, 1, deltas(run, "a", "b", "c")))
    assert (row["known"], row["base"]) == (True, 2)
    assert await log.types(run.session_id) == ["user_message", "run_started", *["text_delta"] * 3]
    assert texts(await log.log(run.session_id)) == ["a", "b", "c"]
    assert (await log.head(run.session_id))["ordinal"] == 3


async def test_the_same_entry_sent_again_stores_nothing_and_is_recognised_by_its_ordinal(log: LogDatabase) -> None:
    run = await log.new_claim()
    entry = EntryOf(run, 1, deltas(run, "a", "b"))
    await log.append(entry)
    [row] = await log.append(entry)
    assert row["base"] is None
    assert (row["fence"], row["ordinal"], row["last_seq"]) == (run.fence, 2, 4)
    assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_a_stale_fence_stores_nothing_and_changes_no_column(log: LogDatabase) -> None:
    stale = await log.new_claim()
    fresh = await log.take_over(stale)
    before = await log.head(stale.session_id)
    entry = EntryOf(stale, 1, [ending(stale)], checkpoint='{"at":1}', provider_state='{"s":1}', outcome="completed")
    [row] = await log.append(entry)
    assert (row["base"], row["fence"]) == (None, fresh.fence)
    assert await log.head(stale.session_id) == before
    run = await log.run(stale.run_id)
    assert (run["status"], run["checkpoint"], run["ended_at"], run["end_seq"]) == ("running", None, None, None)
    session = await log.session(stale.session_id)
    assert (session["status"], session["provider_state"]) == ("running", None)


@pytest.mark.parametrize("first_ordinal", [1, 2, 4, 9])
async def test_an_entry_that_does_not_begin_behind_the_heads_ordinal_stores_nothing(
    log: LogDatabase, first_ordinal: int
) -> None:
    run = await log.new_claim()
    await log.append(EntryOf(run, 1, deltas(run, "a", "b")))
    [row] = await log.append(EntryOf(run, first_ordinal, deltas(run, "x", "y", "z")))
    assert (row["base"], row["ordinal"]) == (None, 2)
    assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_one_batch_stores_healthy_sessions_beside_a_stale_a_locked_and_a_deleted_one(log: LogDatabase) -> None:
    runs = [await log.new_claim(session_id) for session_id in ordered_ids(5)]
    _, stale, locked, gone, _ = runs
    await log.take_over(stale)
    await log.connection.execute("DELETE FROM session_heads WHERE chat_session_id = $1", gone.session_id)
    await log.connection.execute("DELETE FROM events WHERE chat_session_id = $1", gone.session_id)
    other = await log.connect()
    await other.execute("BEGIN")
    await other.fetchrow(RUNS["lock_head"], locked.session_id)

    entries = [EntryOf(run, 1, deltas(run, "a", "b")) for run in runs]
    rows = await within(log.append(*entries), 3)
    assert [row["chat_session_id"] for row in rows] == [run.session_id for run in runs]
    assert [row["base"] for row in rows] == [2, None, None, None, 2]
    assert [row["known"] for row in rows] == [True, True, True, False, True]
    assert rows[1]["fence"] == stale.fence + 1
    assert (rows[2]["fence"], rows[3]["fence"]) == (None, None)
    for run, expected in zip(runs, (["a", "b"], [], [], [], ["a", "b"]), strict=True):
        assert texts(await log.log(run.session_id)) == expected

    await other.execute("COMMIT")
    [row] = await log.append(entries[2])
    assert row["base"] == 2
    assert texts(await log.log(locked.session_id)) == ["a", "b"]


async def test_a_prompt_accepted_between_the_statements_snapshot_and_its_lock_leaves_no_gap_and_no_double(
    log: LogDatabase,
) -> None:
    """The batch has its snapshot and waits at its first session while the second one gets a prompt."""
    first, second = [await log.new_claim(session_id) for session_id in ordered_ids(2)]
    # Nested loops lock the second head only once the first is updated, which is where the block stands.
    writer = await log.connect(application_name="slow-writer", enable_hashjoin="off", enable_mergejoin="off")
    block = await log.block_appends(first.session_id, application="slow-writer")
    entries = (
        EntryOf(first, 1, deltas(first, "a")),
        EntryOf(second, 1, [*deltas(second, "b"), ending(second)], outcome="completed"),
    )
    appending = asyncio.create_task(log.append(*entries, connection=writer))
    await eventually(block.reached, "the append waits at its first session")
    waiting_run = await within(log.accept(second.session_id), 3)
    await block.lift()
    rows = await within(appending)

    assert [row["base"] for row in rows] == [2, 3]
    assert await log.types(second.session_id) == [
        "user_message",
        "run_started",
        "user_message",
        "text_delta",
        "completed",
    ]
    assert rows[1]["queued_runs"] == 1
    assert (await log.session(second.session_id))["status"] == "pending"
    assert (await log.run(second.run_id))["end_seq"] == 5
    assert (await log.claim(second.session_id)).run_id == waiting_run


async def test_a_zombie_with_its_resend_and_a_prompt_behind_it_leaves_exactly_one_copy(log: LogDatabase) -> None:
    """The client of the first send is gone, but its statement goes on at the server, with the head locked."""
    run = await log.new_claim()
    zombie = await log.connect(application_name="zombie")
    block = await log.block_appends(run.session_id, application="zombie")
    entry = EntryOf(run, 1, deltas(run, "a", "b"), checkpoint='{"emitted":2}')
    first_send = asyncio.create_task(log.append(entry, connection=zombie))
    await eventually(block.reached, "the zombie holds the head")

    [skipped] = await within(log.append(entry), 3)
    assert (skipped["known"], skipped["fence"], skipped["base"]) == (True, None, None)
    other = await log.connect()
    prompt = asyncio.create_task(log.accept(run.session_id, other))
    await eventually(
        lambda: log.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = $1", other.get_server_pid()
        ),
        "the prompt waits for the head",
    )
    await block.lift()
    [stored] = await within(first_send)
    await within(prompt)
    [resent] = await log.append(entry)

    assert stored["base"] == 2
    assert (resent["base"], resent["fence"], resent["ordinal"]) == (None, run.fence, 2)
    assert await log.types(run.session_id) == ["user_message", "run_started", *["text_delta"] * 2, "user_message"]


async def test_a_zombie_that_is_killed_before_its_commit_leaves_the_resend_as_the_only_copy(log: LogDatabase) -> None:
    run = await log.new_claim()
    zombie = await log.connect(application_name="zombie")
    block = await log.block_appends(run.session_id, application="zombie")
    entry = EntryOf(run, 1, deltas(run, "a", "b"))
    first_send = asyncio.create_task(log.append(entry, connection=zombie))
    await eventually(block.reached, "the zombie holds the head")
    await log.terminate("zombie")
    with pytest.raises((asyncpg.PostgresError, ConnectionError)):
        await within(first_send)
    await log.accept(run.session_id)
    [resent] = await log.append(entry)
    assert resent["base"] == 3
    assert texts(await log.log(run.session_id)) == ["a", "b"]


@pytest.mark.parametrize("outcome", ["completed", "failed", "interrupted"])
async def test_a_terminal_entry_ends_run_session_and_queue_in_the_same_statement(
    log: LogDatabase, outcome: str
) -> None:
    run = await log.new_claim()
    entry = EntryOf(
        run,
        1,
        [*deltas(run, "a"), ending(run, outcome)],  # type: ignore[arg-type]
        checkpoint='{"emitted":1}',
        provider_state='{"remote":"s1"}',
        outcome=outcome,  # type: ignore[arg-type]
    )
    [row] = await log.append(entry)
    assert (row["base"], row["queued_runs"]) == (2, 0)
    head = await log.head(run.session_id)
    assert (head["running_run_id"], head["queued_runs"], head["last_seq"], head["fence"]) == (None, 0, 4, run.fence)
    ended = await log.run(run.run_id)
    assert (ended["status"], ended["end_seq"], ended["checkpoint"]) == (outcome, 4, '{"emitted":1}')
    assert ended["ended_at"] is not None
    session = await log.session(run.session_id)
    assert (session["status"], session["provider_state"]) == (outcome, '{"remote":"s1"}')
    assert session["completed_at"] is not None


async def test_a_run_that_ends_with_another_queued_leaves_its_session_pending(log: LogDatabase) -> None:
    run = await log.new_claim()
    waiting_run = await log.accept(run.session_id)
    [row] = await log.append(EntryOf(run, 1, [ending(run)], outcome="completed"))
    assert row["queued_runs"] == 1
    session = await log.session(run.session_id)
    assert (session["status"], session["completed_at"]) == ("pending", None)
    head = await log.head(run.session_id)
    assert (head["running_run_id"], head["queued_runs"]) == (None, 1)
    assert (await log.run(waiting_run))["status"] == "queued"


async def test_an_ordinary_append_keeps_checkpoint_state_and_the_sessions_time_of_change(log: LogDatabase) -> None:
    run = await log.new_claim()
    before = await log.session(run.session_id)
    await log.append(EntryOf(run, 1, deltas(run, "a"), checkpoint='{"emitted":1}', provider_state='{"s":1}'))
    await log.append(EntryOf(run, 2, deltas(run, "b")))
    after = await log.session(run.session_id)
    assert after["provider_state"] == '{"s":1}'
    assert {**after, "provider_state": None} == dict(before)
    stored = await log.run(run.run_id)
    assert (stored["status"], stored["checkpoint"], stored["ended_at"]) == ("running", '{"emitted":1}', None)


async def test_the_ordinal_begins_anew_with_every_attempt_and_is_not_touched_by_prompts(log: LogDatabase) -> None:
    first = await log.new_claim()
    await log.append(EntryOf(first, 1, deltas(first, "a", "b")))
    await log.accept(first.session_id)
    assert (await log.head(first.session_id))["ordinal"] == 2
    second = await log.take_over(first)
    assert (await log.head(first.session_id))["ordinal"] == 0
    [row] = await log.append(EntryOf(second, 1, deltas(second, "c")))
    assert row["base"] == 6
    assert texts(await log.log(first.session_id)) == ["a", "b", "c"]


async def test_ending_a_queued_run_leaves_the_fence_of_the_running_one_alone(log: LogDatabase) -> None:
    run = await log.new_claim()
    waiting_run = await log.accept(run.session_id)
    data = ending(run, "interrupted").data
    await log.connection.execute(RUNS["end_run"], run.session_id, waiting_run, "interrupted", data)
    [row] = await log.append(EntryOf(run, 1, deltas(run, "a")))
    assert row["base"] == 4
    assert (await log.head(run.session_id))["queued_runs"] == 0


@pytest.mark.parametrize("statement", ["end_run", "release_run"])
async def test_whoever_ends_or_releases_a_running_run_throws_its_driver_out(log: LogDatabase, statement: str) -> None:
    run = await log.new_claim()
    if statement == "end_run":
        data = ending(run, "failed").data
        await log.connection.execute(RUNS["end_run"], run.session_id, run.run_id, "failed", data)
    else:
        await log.connection.execute(RUNS["release_run"], run.session_id, run.run_id, run.fence)
    [row] = await log.append(EntryOf(run, 1, deltas(run, "late")))
    assert (row["base"], row["fence"]) == (None, run.fence + 1)
    assert texts(await log.log(run.session_id)) == []
