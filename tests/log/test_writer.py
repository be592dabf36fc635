"""The event writer against a real PostgreSQL that loses answers, refuses content, is locked, full or read-only."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from tests.support.log_harness import (
    EVENTS,
    RUNS,
    WRITER_NAME,
    Claimed,
    LogDatabase,
    LogReplica,
    delta,
    deltas,
    ending,
    texts,
    within,
)
from tests.support.proxy import LossyProxy
from tests.support.waiting import eventually
from webedt.bus.interface import Topic
from webedt.domain.events import NewEvent
from webedt.log.producer import EntryRefused, LogDefect, ProducerClosed, RunLog, StaleFence


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogDatabase]:
    async with LogDatabase(database_url) as database:
        yield database


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[LogReplica]:
    async with LogReplica(database_url).running() as running:
        yield running


async def append(producer: RunLog, run: Claimed, *parts: str) -> None:
    """Append text deltas and wait until they are durable."""
    await within(producer.append(deltas(run, *parts)))
    await within(producer.flush())


# Group commit --------------------------------------------------------------------------------------------------------


async def test_an_append_is_planned_once_however_small_it_is(log: LogDatabase, replica: LogReplica) -> None:
    run = await log.new_claim()
    producer = replica.open(run)
    for number in range(20):
        await append(producer, run, str(number))
    writing = await replica.writer._link.get()
    plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
    assert [tuple(row) for row in await writing.fetch(plans, EVENTS["append_batch"])] == [(20, 0)]


async def test_many_runs_are_written_in_order_and_share_commits(log: LogDatabase, replica: LogReplica) -> None:
    runs = [await log.new_claim() for _ in range(12)]
    producers = [replica.open(run) for run in runs]

    async def write(run: Claimed, producer: RunLog) -> None:
        for number in range(40):
            await producer.append([delta(run, str(number))])
            await asyncio.sleep(0)
        await producer.flush()

    await within(asyncio.gather(*map(write, runs, producers)))
    for run in runs:
        assert texts(await log.log(run.session_id)) == [str(number) for number in range(40)]
    assert replica.metrics.render(openmetrics=False).count(b"webedt_event_commit_seconds_count") == 1
    commits = sample(replica, "webedt_event_commit_seconds_count")
    assert 0 < commits < 12 * 40 / 4
    assert sample(replica, "webedt_events_committed_total") == 12 * 40


def sample(replica: LogReplica, name: str) -> float:
    [line] = [
        line for line in replica.metrics.render(openmetrics=False).decode().splitlines() if line.startswith(name + "{")
    ]
    return float(line.rsplit(" ", 1)[1])


async def test_readers_here_get_a_commit_pushed_and_other_replicas_are_told(
    log: LogDatabase, replica: LogReplica
) -> None:
    run = await log.new_claim()
    tail, reader = await replica.follow(run.session_id)
    await append(replica.open(run), run, "a", "b")
    assert (tail.position, [(chunk.after, chunk.last, chunk.origin) for chunk in reader.chunks]) == (
        4,
        [(2, 4, "local")],
    )
    assert (Topic.EVENTS, frozenset({run.session_id})) in replica.bus.published


async def test_the_end_of_a_run_is_told_with_how_many_wait_behind_it(log: LogDatabase, replica: LogReplica) -> None:
    told: list[tuple[UUID, int]] = []
    replica.writer.on_ended(lambda session_id, queued: told.append((session_id, queued)))
    run = await log.new_claim()
    await log.accept(run.session_id)
    producer = replica.open(run)
    await producer.append([ending(run)], outcome="completed")
    await within(producer.flush())
    assert told == [(run.session_id, 1)]


# Answers that are lost -----------------------------------------------------------------------------------------------


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(database_url).running() as running:
        yield running


@pytest.fixture
async def far_replica(database_url: str, proxy: LossyProxy) -> AsyncIterator[LogReplica]:
    """A replica whose writer reaches the database through the proxy."""
    async with LogReplica(database_url, direct_url=proxy.url).running() as running:
        yield running


@pytest.mark.parametrize("loss", ["answer", "question"])
async def test_an_append_whose_answer_or_question_was_lost_is_in_the_log_exactly_once(
    log: LogDatabase, far_replica: LogReplica, proxy: LossyProxy, loss: str
) -> None:
    run = await log.new_claim()
    producer = far_replica.open(run)
    await append(producer, run, "a")
    _, reader = await far_replica.follow(run.session_id)
    second = producer.expect_seq(1)
    proxy.lose("writer", loss)  # type: ignore[arg-type]
    await append(producer, run, "b", "c")
    assert proxy.lost.is_set()
    assert await within(second) == 5
    fourth = producer.expect_seq()
    await append(producer, run, "d")
    assert await within(fourth) == 6
    assert texts(await log.log(run.session_id)) == ["a", "b", "c", "d"]
    replay = await far_replica.replay(run.session_id, after=3)
    await eventually(lambda: reader.payload == replay, "the reader at the head has all of it, once")


@pytest.mark.parametrize("loss", ["answer", "question"])
async def test_ids_are_right_when_a_prompt_came_between_a_lost_exchange_and_the_resend(
    log: LogDatabase, far_replica: LogReplica, proxy: LossyProxy, loss: str
) -> None:
    run = await log.new_claim()
    producer = far_replica.open(run)
    await append(producer, run, "a")
    first, second = producer.expect_seq(), producer.expect_seq(1)
    proxy.open.clear()
    proxy.lose("writer", loss)  # type: ignore[arg-type]
    await producer.append(deltas(run, "b", "c"))
    await within(proxy.lost.wait())
    await log.accept(run.session_id)
    await log.accept(run.session_id)
    proxy.open.set()
    await within(producer.flush())
    expected = 4 if loss == "answer" else 6  # before the prompts, or behind them
    assert (await within(first), await within(second)) == (expected, expected + 1)
    events = await log.log(run.session_id)
    assert texts(events) == ["a", "b", "c"]
    assert events[expected - 1].data == delta(run, "b").data
    await append(producer, run, "d")
    assert texts(await log.log(run.session_id)) == ["a", "b", "c", "d"]


async def test_what_gathered_behind_a_lost_answer_is_not_merged_into_the_resend(
    log: LogDatabase, far_replica: LogReplica, proxy: LossyProxy
) -> None:
    run = await log.new_claim()
    producer = far_replica.open(run)
    await append(producer, run, "a")
    proxy.open.clear()
    proxy.lose("writer", "answer")
    await producer.append(deltas(run, "b"))
    await within(proxy.lost.wait())
    await producer.append(deltas(run, "c", "d"))
    proxy.open.set()
    await within(producer.flush())
    assert texts(await log.log(run.session_id)) == ["a", "b", "c", "d"]


async def test_a_run_whose_last_answer_was_lost_has_ended_once_and_its_queue_goes_on(
    log: LogDatabase, far_replica: LogReplica, proxy: LossyProxy
) -> None:
    told: list[tuple[UUID, int]] = []
    far_replica.writer.on_ended(lambda session_id, queued: told.append((session_id, queued)))
    run = await log.new_claim()
    await log.accept(run.session_id)
    producer = far_replica.open(run)
    await append(producer, run, "a")
    proxy.lose("writer", "answer")
    await producer.append([ending(run)], outcome="completed")
    await within(producer.flush())
    assert proxy.lost.is_set()
    assert (await log.types(run.session_id)).count("completed") == 1
    assert told == [(run.session_id, 1)]


async def test_every_session_of_a_batch_whose_answer_was_lost_is_stored_once(
    log: LogDatabase, far_replica: LogReplica, proxy: LossyProxy
) -> None:
    runs = [await log.new_claim() for _ in range(5)]
    producers = [far_replica.open(run) for run in runs]
    await append(producers[0], runs[0], "warm")
    far_replica.heartbeat.switch(on=False)
    for run, producer in zip(runs, producers, strict=True):
        await producer.append(deltas(run, "a", "b"))
    proxy.lose("writer", "answer")
    far_replica.heartbeat.switch(on=True)
    for producer in producers:
        await within(producer.flush())
    assert proxy.lost.is_set()
    assert texts(await log.log(runs[0].session_id)) == ["warm", "a", "b"]
    for run in runs[1:]:
        assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_a_writer_whose_backend_is_killed_in_the_middle_of_an_append_stores_it_once(
    log: LogDatabase, replica: LogReplica
) -> None:
    run = await log.new_claim()
    producer = replica.open(run)
    block = await log.block_appends(run.session_id)
    seq = producer.expect_seq()
    await producer.append(deltas(run, "a", "b"))
    await eventually(block.reached, "the append is at work")
    await log.terminate(WRITER_NAME)
    await block.lift()
    await within(producer.flush())
    assert await within(seq) == 3
    assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_a_connection_that_the_server_closes_just_as_it_is_used_costs_no_run(
    log: LogDatabase, replica: LogReplica
) -> None:
    """The farewell may meet the statement half-way; then the driver's error is neither of the two usual ones."""
    run = await log.new_claim()
    producer = replica.open(run)
    for number in range(15):
        await log.terminate(WRITER_NAME)
        await append(producer, run, str(number))
    assert texts(await log.log(run.session_id)) == [str(number) for number in range(15)]


async def test_a_writer_killed_over_and_over_stores_every_event_once_and_in_order(
    log: LogDatabase, replica: LogReplica
) -> None:
    runs = [await log.new_claim() for _ in range(3)]
    producers = [replica.open(run) for run in runs]

    async def write(run: Claimed, producer: RunLog) -> None:
        for number in range(300):
            await producer.append([delta(run, str(number))])
            if number % 5 == 0:
                await producer.flush()

    writing = asyncio.gather(*map(write, runs, producers))
    kills = 0
    while not writing.done() and kills < 12:
        seen = await log.connection.fetchval("SELECT sum(last_seq) FROM session_heads")
        await log.terminate(WRITER_NAME)
        kills += 1
        await eventually(
            lambda seen=seen: grown_beyond(log, seen, writing), "the writer goes on after its connection was killed"
        )
    await within(writing, 20)
    for run, producer in zip(runs, producers, strict=True):
        await within(producer.flush())
        assert texts(await log.log(run.session_id)) == [str(number) for number in range(300)]
    assert kills >= 3


async def grown_beyond(log: LogDatabase, seen: int, writing: asyncio.Future[list[None]]) -> bool:
    return writing.done() or await log.connection.fetchval("SELECT sum(last_seq) > $1 FROM session_heads", seen)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ['{"text": ', '{"text":"\ud800"}', '{"text":"\0"}'])
async def test_a_run_whose_content_is_refused_fails_alone_and_those_beside_it_are_stored(
    log: LogDatabase, replica: LogReplica, data: str
) -> None:
    runs = [await log.new_claim() for _ in range(5)]
    producers = [replica.open(run) for run in runs]
    replica.heartbeat.switch(on=False)  # so that all of them go into one batch
    for number, (run, producer) in enumerate(zip(runs, producers, strict=True)):
        await producer.append([NewEvent("text_delta", data)] if number == 2 else deltas(run, "a", "b"))
    replica.heartbeat.switch(on=True)
    for number, (run, producer) in enumerate(zip(runs, producers, strict=True)):
        if number == 2:
            with pytest.raises(EntryRefused):
                await within(producer.flush())
            assert await log.types(run.session_id) == ["user_message", "run_started"]
        else:
            await within(producer.flush())
            assert texts(await log.log(run.session_id)) == ["a", "b"]
    await append(producers[0], runs[0], "c")


async def test_a_stale_producer_is_told_so_and_stores_nothing_more(log: LogDatabase, replica: LogReplica) -> None:
    run = await log.new_claim()
    producer = replica.open(run)
    await append(producer, run, "a")
    successor = await log.take_over(run)
    with pytest.raises(StaleFence):
        await append(producer, run, "late")
    await append(replica.open(successor), successor, "b")
    assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_two_producers_of_one_session_do_not_get_into_one_batch(log: LogDatabase, replica: LogReplica) -> None:
    run = await log.new_claim()
    zombie = replica.open(run)
    successor = await log.take_over(run)
    producer = replica.open(successor)
    replica.heartbeat.switch(on=False)
    await zombie.append(deltas(run, "late"))
    await producer.append(deltas(successor, "a"))
    replica.heartbeat.switch(on=True)
    await within(producer.flush())
    with pytest.raises(StaleFence):
        await within(zombie.flush())
    assert texts(await log.log(run.session_id)) == ["a"]


async def test_a_session_that_is_gone_fails_only_its_own_run(log: LogDatabase, replica: LogReplica) -> None:
    gone, other = await log.new_claim(), await log.new_claim()
    await log.connection.execute("DELETE FROM session_heads WHERE chat_session_id = $1", gone.session_id)
    producer = replica.open(gone)
    await producer.append(deltas(gone, "a"))
    await append(replica.open(other), other, "b")
    with pytest.raises(EntryRefused, match="gone"):
        await within(producer.flush())


@pytest.mark.parametrize("ordinal", [1, 4, 5])
async def test_an_ordinal_that_nothing_explains_stops_the_run_instead_of_being_guessed_at(
    log: LogDatabase, replica: LogReplica, ordinal: int
) -> None:
    run = await log.new_claim()
    producer = replica.open(run)
    await append(producer, run, "a", "b")
    await log.connection.execute("UPDATE session_heads SET ordinal = $1", ordinal)
    with pytest.raises(LogDefect):
        await append(producer, run, "c")
    assert texts(await log.log(run.session_id)) == ["a", "b"]


# What passes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sqlstate", ["53100", "53200", "57014", "58030", "40001"])
async def test_a_full_disk_and_the_like_are_waited_out_and_then_the_run_goes_on(
    log: LogDatabase, replica: LogReplica, sqlstate: str
) -> None:
    run = await log.new_claim()
    producer = replica.open(run)
    await append(producer, run, "a")
    await log.fail_appends(run.session_id, sqlstate)
    await producer.append(deltas(run, "b", "c"))

    async def failed_twice() -> bool:
        return await log.failed_appends() >= 2

    await eventually(failed_twice, "the append was tried again")
    assert producer.failure is None
    assert texts(await log.log(run.session_id)) == ["a"]
    await log.let_appends_be()
    await within(producer.flush())
    assert texts(await log.log(run.session_id)) == ["a", "b", "c"]


async def test_a_server_that_was_read_only_for_a_while_is_waited_for(
    log: LogDatabase, replica: LogReplica, database_url: str
) -> None:
    """As after a fail-over, or when a full disk made the operator's tools switch writing off for new connections."""
    name = urlsplit(database_url).path.lstrip("/")
    run = await log.new_claim()
    producer = replica.open(run)
    await append(producer, run, "a")
    writable = await log.backend_of(WRITER_NAME)
    await log.connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await log.terminate(WRITER_NAME)
    await producer.append(deltas(run, "b"))

    async def read_only_writer() -> bool:
        return await log.backend_of(WRITER_NAME) not in (None, writable)

    await eventually(read_only_writer, "the writer has a connection on which it may only read")
    assert producer.failure is None
    await log.connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await within(producer.flush())
    assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_a_head_held_by_a_frozen_peer_delays_only_its_own_session(log: LogDatabase, replica: LogReplica) -> None:
    frozen, *others = [await log.new_claim() for _ in range(4)]
    peer = await log.connect()
    await peer.execute("BEGIN")
    await peer.fetchrow(RUNS["lock_head"], frozen.session_id)
    held = replica.open(frozen)
    await held.append(deltas(frozen, "a"))
    for run in others:
        await append(replica.open(run), run, "a")
        assert texts(await log.log(run.session_id)) == ["a"]
    assert (await log.head(frozen.session_id))["last_seq"] == 2
    await peer.execute("ROLLBACK")
    await within(held.flush())
    assert texts(await log.log(frozen.session_id)) == ["a"]


async def test_a_row_held_behind_the_heads_delays_only_its_own_session(log: LogDatabase, replica: LogReplica) -> None:
    """A checkpoint has to wait for the row of the run: the batch is taken apart instead of waiting as a whole."""
    runs = [await log.new_claim() for _ in range(2)]
    peer = await log.connect()
    await peer.execute("BEGIN")
    await peer.execute("SELECT FROM runs WHERE id = $1 FOR UPDATE", runs[0].run_id)
    producers = [replica.open(run) for run in runs]
    replica.heartbeat.switch(on=False)
    for run, producer in zip(runs, producers, strict=True):
        await producer.append(deltas(run, "a"), checkpoint="{}")
    replica.heartbeat.switch(on=True)
    await within(producers[1].flush())
    assert texts(await log.log(runs[1].session_id)) == ["a"]
    assert texts(await log.log(runs[0].session_id)) == []
    await peer.execute("ROLLBACK")
    await within(producers[0].flush())
    assert texts(await log.log(runs[0].session_id)) == ["a"]


async def test_nothing_is_sent_while_the_lease_of_this_replica_is_in_doubt(
    log: LogDatabase, replica: LogReplica
) -> None:
    run, other = await log.new_claim(), await log.new_claim()
    producer = replica.open(run)
    await append(producer, run, "a")
    commits = sample(replica, "webedt_event_commit_seconds_count")
    replica.heartbeat.switch(on=False)
    pauses = [replica.open(other), producer]
    await pauses[0].append(deltas(other, "x"))
    await producer.append(deltas(run, "b"))
    with pytest.raises(TimeoutError):
        await within(producer.flush(), 0.3)
    assert sample(replica, "webedt_event_commit_seconds_count") == commits
    assert texts(await log.log(run.session_id)) == ["a"]
    replica.heartbeat.switch(on=True)
    for paused in pauses:
        await within(paused.flush())
    assert texts(await log.log(run.session_id)) == ["a", "b"]
    assert texts(await log.log(other.session_id)) == ["x"]


async def test_a_run_that_was_taken_over_while_this_replica_paused_stores_nothing_when_it_is_back(
    log: LogDatabase, replica: LogReplica
) -> None:
    run = await log.new_claim()
    producer = replica.open(run)
    await append(producer, run, "a")
    replica.heartbeat.switch(on=False)
    await producer.append(deltas(run, "late"))
    successor = await log.take_over(run)
    replica.heartbeat.switch(on=True)
    with pytest.raises(ProducerClosed):
        await within(producer.flush())
    await append(replica.open(successor), successor, "b")
    assert texts(await log.log(run.session_id)) == ["a", "b"]


async def test_two_replicas_with_prompts_between_number_one_session_without_gap_or_double(
    log: LogDatabase, replica: LogReplica, database_url: str
) -> None:
    """The run is passed from replica to replica while prompts come in: each fence writes, and only in its time."""
    async with LogReplica(database_url).running() as second:
        run = await log.new_claim()
        expected: list[str] = []
        numbers = itertools.count()
        prompts = 0
        for turn in range(12):
            producer = (replica, second)[turn % 2].open(run)
            for _ in range(10):
                part = str(next(numbers))
                await producer.append([delta(run, part)])
                expected.append(part)
            accepting = asyncio.create_task(log.accept(run.session_id))
            await within(producer.flush())
            await within(accepting)
            prompts += 1
            stale, run = run, await log.take_over(run, uuid4())
            assert run.fence == stale.fence + 1
        events = await log.log(run.session_id)
        assert texts(events) == expected
        assert len(events) == 2 + len(expected) + 2 * prompts
