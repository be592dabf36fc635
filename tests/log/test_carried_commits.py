"""Commits that travel to other replicas: only what is stored, and as the very bytes that the database would render."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.support.log_harness import CollectingReader, LogDatabase, LogReplica, deltas, ending
from tests.support.waiting import eventually
from webedt.bus.interface import Commit
from webedt.bus.letters import decode_commit, encode_commit
from webedt.domain.events import MESSAGE, NewEvent, encode_data
from webedt.log.chunks import TailKey, chunk_of

TEXTS = ["plain", "line\nbreak\r\n\u2028", '"quoted" \\ /', "\N{SNOWMAN}\N{GRINNING FACE}", "\x00\ud800", "", " id: 7 "]


def travelled(commit: Commit) -> Commit:
    """As it comes out on the other side."""
    arrived = decode_commit(msgspec.Raw(encode_commit(commit)))
    assert arrived is not None
    return arrived


@pytest.mark.parametrize("with_deltas", [True, False])
async def test_what_travels_becomes_the_bytes_that_the_database_renders(database_url: str, with_deltas: bool) -> None:
    replica = LogReplica(database_url)
    async with LogDatabase(database_url) as log, replica.running():
        run = await log.new_claim()
        producer = replica.writer.open(*run)
        message = NewEvent(MESSAGE, encode_data({"runId": str(run.run_id), "content": TEXTS, "replacesFrom": 3}))
        await producer.append([*deltas(run, *TEXTS), message])
        await producer.flush()
        await producer.append([*deltas(run, "more"), ending(run)], outcome="completed")
        await producer.flush()
        key = TailKey(run.session_id, with_deltas)
        commits = [travelled(commit) for commit in replica.bus.commits]
        page = await replica.tails.replay.page(key, commits[0].first_seq - 1, commits[-1].last_seq)
    chunks = [chunk_of(commit, 0.0, "remote", deltas=with_deltas) for commit in commits]
    assert b"".join(chunk.payload for chunk in chunks) == page.payload
    assert [commit.ended for commit in commits][-1]
    assert chunks[-1].ended == {run.run_id: commits[-1].last_seq}
    assert not any(chunk.ended for chunk in chunks[:-1])


async def test_what_a_fenced_writer_would_have_said_is_never_carried(database_url: str) -> None:
    zombie = LogReplica(database_url)
    async with LogDatabase(database_url) as log, zombie.running():
        run = await log.new_claim()
        producer = zombie.writer.open(*run)
        await producer.append(deltas(run, "mine"))
        await producer.flush()
        zombie.heartbeat.switch(on=False)
        await producer.append(deltas(run, "too late"))
        await log.take_over(run)
        zombie.heartbeat.switch(on=True)
        await eventually(lambda: producer.failure, "it is refused")
        stored = {event.id: event.data for event in await log.log(run.session_id)}
    carried = [
        (seq, event.data) for commit in zombie.bus.commits for seq, event in enumerate(commit.events, commit.first_seq)
    ]
    assert carried
    assert [stored[seq] for seq, _ in carried] == [data for _, data in carried]
    assert "too late" not in str(carried)


async def test_what_is_not_acknowledged_is_not_carried(database_url: str) -> None:
    replica = LogReplica(database_url)
    async with LogDatabase(database_url) as log, replica.running():
        run = await log.new_claim()
        block = await log.block_appends(run.session_id)
        producer = replica.writer.open(*run)
        await producer.append(deltas(run, "one"))
        await eventually(block.reached, "the append waits")
        assert replica.bus.commits == []
        await block.lift()
        await producer.flush()
        await eventually(lambda: replica.bus.commits, "now it is carried")


async def test_a_reader_elsewhere_has_every_frame_without_a_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.log.tails.SWEEP_SECONDS", 1e6)
    driver, other = LogReplica(database_url), LogReplica(database_url)
    async with LogDatabase(database_url) as log, driver.running(), other.running():
        run = await log.new_claim()
        reader: Any = CollectingReader()
        tail = other.tails.open(TailKey(run.session_id, True), reader)
        await tail.refresh()
        tail.join(reader)
        producer = driver.writer.open(*run)
        for text in TEXTS:
            await producer.append(deltas(run, text))
            await producer.flush()
        commits: list[Commit] = driver.bus.commits
        for commit in [*commits, commits[0], *reversed(commits)]:
            assert other.tails.carried(travelled(commit))
        assert not other.tails.grown(run.session_id, tail.position)
        page = await other.tails.replay.page(tail.key, 2, tail.position)
        assert reader.payload == page.payload
        assert {chunk.origin for chunk in reader.chunks} == {"remote"}
        assert not other.tails.carried(commits[0]._replace(session_id=UUID(int=5)))
        other.tails.close(tail, reader)
    reads = other.metrics.registry.get_sample_value("webedt_log_reads_total", {"container": "test", "kind": "tail"})
    assert reads == 1
