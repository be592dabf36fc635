"""Two replicas on one real database: what a reader sees does not depend on where, when and how it reads."""

import asyncio
import contextlib
import random
from uuid import UUID

import pytest

from tests.support.log_harness import LogDatabase, LogReplica, parse_frames
from tests.support.replica import SHORT, Replica, of_run, until_status
from tests.support.stream_client import StreamClient
from tests.support.waiting import eventually
from webedt.domain.errors import Conflict
from webedt.http.log_stream import Until

PROMPTS = (SHORT, "[[tokens=60 rate=0 size=30 seed=2]]", "[[tokens=40 rate=200 size=9 seed=3 thinking=10]]")


@pytest.mark.parametrize("seed", range(2))
async def test_readers_on_two_replicas_a_replay_and_the_json_pages_see_the_same_log(
    database_url: str, seed: int
) -> None:
    """Prompts, interrupts, readers that leave, come back elsewhere or stall, dead listeners and doubled signals."""
    choices = random.Random(seed)
    a, b = Replica(database_url, "a"), Replica(database_url, "b")
    async with LogDatabase(database_url) as log, a.running(), b.running():
        replicas = (a, b)
        session_id = (await a.prompt(log, PROMPTS[1])).session_id
        readers = [
            StreamClient(session_id, until, deltas=deltas)
            for until, deltas in ((Until.NEVER, True), (Until.NEVER, True), (Until.NEVER, False), (Until.NEVER, True))
        ]
        for number, reader in enumerate(readers):
            reader.connect(replicas[number % 2].tails)
        ends: list[tuple[UUID, StreamClient]] = []
        for _ in range(30):
            match choices.choice(["prompt", "prompt", "interrupt", "move", "move", "stall", "flow", "deaf", "signal"]):
                case "prompt":
                    accepted = await choices.choice(replicas).prompt(log, choices.choice(PROMPTS), session_id)
                    client = StreamClient(
                        session_id,
                        Until.RUN,
                        cursor=accepted.prompt_seq - 1,
                        run_id=accepted.run_id,
                        end_of=lambda run_id: a.runs.end_seq(session_id, run_id),
                    )
                    client.connect(choices.choice(replicas).tails)
                    ends.append((accepted.run_id, client))
                case "interrupt":
                    with contextlib.suppress(Conflict):
                        await choices.choice(replicas).runs.interrupt(log.user_id, session_id, None)
                case "move":
                    reader = choices.choice(readers)
                    await reader.disconnect()
                    reader.connect(choices.choice(replicas).tails)
                case "stall":
                    choices.choice(readers).socket.flow(on=False)
                case "flow":
                    choices.choice(readers).socket.flow(on=True)
                case "deaf":
                    await log.terminate("webedt-listener")
                case "signal":
                    for one in replicas:
                        one.tails.wake(session_id)
            if choices.random() < 0.5:
                seen = len(await log.log(session_id))
                await eventually(lambda seen=seen: moved_on(log, session_id, seen), "the log grows or is at its end")
        for run_id, client in ends:
            await until_status(log, run_id, "completed", "interrupted", seconds=30)
            end_seq = (await log.run(run_id))["end_seq"]
            assert (await client.ended())[-1].id == end_seq
        events = await log.log(session_id)
        for reader in readers:
            reader.socket.flow(on=True)
            wanted = [event for event in events if reader.deltas or not event.type.endswith("_delta")]
            await eventually(lambda reader=reader, wanted=wanted: len(reader.seen) >= len(wanted), "all is read")
            assert reader.seen == wanted
        for run_id, client in ends:
            assert client.seen == [event for event in events if client.began_behind < event.id <= client.cursor]
            assert client.seen[-1] == of_run(events, run_id)[-1]
        for reader in readers:
            await reader.disconnect()
        async with LogReplica(database_url).running() as reading:
            assert parse_frames(await reading.replay(session_id)) == events
            assert await reading.json_pages(session_id, limit=17) == events


async def moved_on(log: LogDatabase, session_id: UUID, seen: int) -> bool:
    head = await log.head(session_id)
    return head["last_seq"] > seen or (head["running_run_id"] is None and not head["queued_runs"])


async def test_a_reader_that_is_told_nothing_is_late_by_no_more_than_a_sweep(database_url: str) -> None:
    async with LogDatabase(database_url) as log, LogReplica(database_url).running() as replica:
        run = await log.new_claim()
        reader = StreamClient(run.session_id, Until.NEVER)
        reader.connect(replica.tails)
        await eventually(lambda: reader.cursor == 2, "the reader is at the head")
        await log.accept(run.session_id)  # by a statement of the test's own: nobody is told
        await eventually(lambda: reader.cursor == 3, "the sweep found it", seconds=5)
        await reader.disconnect()


async def test_a_thousand_wakes_cost_a_reader_nothing_twice(database_url: str) -> None:
    async with LogDatabase(database_url) as log, LogReplica(database_url).running() as replica:
        run = await log.new_claim()
        tail, reader = await replica.follow(run.session_id)
        for _ in range(1000):
            replica.tails.wake(run.session_id)
        await log.accept(run.session_id)
        await asyncio.gather(*(tail.refresh() for _ in range(50)))
        assert [event.id for event in parse_frames(reader.payload)] == [3]
