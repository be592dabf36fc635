"""Where a stream ends by itself: only where one statement showed that nothing more will come, or at its run's end."""

from collections.abc import AsyncIterator

import pytest

from tests.support.log_harness import EntryOf, LogDatabase, LogReplica, deltas, ending, within
from tests.support.stream_client import StreamClient
from tests.support.waiting import eventually
from webedt.http.log_stream import Until


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogDatabase]:
    async with LogDatabase(database_url) as database:
        yield database


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[LogReplica]:
    async with LogReplica(database_url).running() as running:
        yield running


async def test_a_stream_for_resume_ends_once_the_last_run_has_ended_here(log: LogDatabase, replica: LogReplica) -> None:
    run = await log.new_claim()
    client = StreamClient(run.session_id, Until.IDLE)
    client.connect(replica.tails)
    await eventually(lambda: client.cursor == 2, "the client is at the head")
    producer = replica.open(run)
    await producer.append(deltas(run, "a"))
    await within(producer.flush())
    await eventually(lambda: client.cursor == 3, "the delta came")
    assert client.connected
    await producer.append([ending(run)], outcome="completed")
    await within(producer.flush())
    assert await client.ended() == await log.log(run.session_id)


async def test_a_stream_for_resume_stays_while_a_prompt_waits_behind_the_run_that_ended(
    log: LogDatabase, replica: LogReplica
) -> None:
    run = await log.new_claim()
    client = StreamClient(run.session_id, Until.IDLE)
    client.connect(replica.tails)
    await eventually(lambda: client.cursor == 2, "the client is at the head")
    await log.accept(run.session_id)
    producer = replica.open(run)
    await producer.append([ending(run)], outcome="completed")
    await within(producer.flush())
    await eventually(lambda: client.cursor == 4, "the end of the first run came")
    following = await log.claim(run.session_id)
    replica.tails.wake(run.session_id)
    await eventually(lambda: client.cursor == 5, "so does the beginning of the next one")
    assert client.connected
    await log.append(EntryOf(following, 1, [ending(following)], outcome="completed"))
    replica.tails.wake(run.session_id)
    events = await client.ended()
    assert [event.type for event in events] == [
        *("user_message", "run_started"),
        *("user_message", "completed"),
        *("run_started", "completed"),
    ]


@pytest.mark.parametrize("ends", ["here", "elsewhere", "before"])
async def test_the_stream_of_a_run_ends_at_its_own_end_though_another_prompt_waits_behind_it(
    log: LogDatabase, replica: LogReplica, ends: str
) -> None:
    run = await log.new_claim()
    await log.accept(run.session_id)

    async def end_of(_run_id: object) -> int | None:
        end_seq: int | None = (await log.run(run.run_id))["end_seq"]
        return end_seq

    client = StreamClient(run.session_id, Until.RUN, run_id=run.run_id, end_of=end_of)
    last = [*deltas(run, "a"), ending(run)]
    if ends == "before":
        await log.append(EntryOf(run, 1, last, outcome="completed"))
        await log.claim(run.session_id)
        client.connect(replica.tails)
    else:
        client.connect(replica.tails)
        await eventually(lambda: client.cursor == 3, "the client is at the head")
        if ends == "here":
            producer = replica.open(run)
            await producer.append(last, outcome="completed")
            await within(producer.flush())
        else:
            await log.append(EntryOf(run, 1, last, outcome="completed"))
            await log.claim(run.session_id)  # one read brings the end and what is beyond it
            replica.tails.wake(run.session_id)
    events = await client.ended()
    assert [event.type for event in events] == [
        *("user_message", "run_started", "user_message"),
        *("text_delta", "completed"),
    ]


async def test_the_stream_of_a_queued_run_shows_the_run_before_it_and_does_not_end_with_that(
    log: LogDatabase, replica: LogReplica
) -> None:
    first = await log.new_claim()
    second_run = await log.accept(first.session_id)
    client = StreamClient(first.session_id, Until.RUN, cursor=2, run_id=second_run)
    client.connect(replica.tails)
    await log.append(EntryOf(first, 1, [ending(first)], outcome="completed"))
    second = await log.claim(first.session_id)
    replica.tails.wake(first.session_id)
    await eventually(lambda: client.cursor == 5, "the second run has begun")
    assert client.connected
    producer = replica.open(second)
    await producer.append([ending(second, "failed")], outcome="failed")
    await within(producer.flush())
    assert [event.type for event in await client.ended()] == ["user_message", "completed", "run_started", "failed"]


async def test_a_stream_for_resume_with_nothing_left_to_say_ends_at_once_and_says_nothing(
    log: LogDatabase, replica: LogReplica
) -> None:
    run = await log.new_claim()
    await log.append(EntryOf(run, 1, [ending(run)], outcome="completed"))
    client = StreamClient(run.session_id, Until.IDLE, cursor=3)
    client.connect(replica.tails)
    assert await client.ended() == []


async def test_a_stream_without_deltas_ends_too_though_its_last_event_is_not_the_logs_last(
    log: LogDatabase, replica: LogReplica
) -> None:
    run = await log.new_claim()
    await log.append(EntryOf(run, 1, [ending(run), *deltas(run, "after the end")], outcome="completed"))
    client = StreamClient(run.session_id, Until.IDLE, deltas=False)
    client.connect(replica.tails)
    assert [event.type for event in await client.ended()] == ["user_message", "run_started", "completed"]


async def test_every_stream_of_a_deleted_session_ends(log: LogDatabase, replica: LogReplica) -> None:
    run = await log.new_claim()
    clients = [StreamClient(run.session_id, until) for until in (Until.NEVER, Until.IDLE)]
    for client in clients:
        client.connect(replica.tails)
    await eventually(lambda: all(client.cursor == 2 for client in clients), "both are at the head")
    await log.connection.execute("UPDATE chat_sessions SET deleted_at = now()")
    replica.tails.wake(run.session_id)
    for client in clients:
        assert len(await client.ended()) == 2
