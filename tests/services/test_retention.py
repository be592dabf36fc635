"""Compaction and the trash: what is removed, what stays, and what readers in and around the gap see."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.log_harness import LogDatabase, Logged, parse_frames
from tests.support.replica import Replica, until_status
from webedt.domain.errors import NotFound
from webedt.log.chunks import TailKey
from webedt.services.retention import ARetention, Retention

PROMPT = "[[tokens=30 rate=0 thinking=4 seed=3]]"


@pytest.fixture
async def quiet(database_url: str) -> AsyncIterator[Replica]:
    """A replica whose own compaction does not come: the test calls it."""
    async with Replica(database_url, "quiet", compact_after_minutes=0).running() as running:
        yield running


async def finished(replica: Replica, log: LogDatabase, text: str = PROMPT) -> tuple[Logged, ...]:
    accepted = await replica.prompt(log, text)
    await until_status(log, accepted.run_id, "completed", "failed", "interrupted")
    return tuple(await log.log(accepted.session_id))


async def stored(log: LogDatabase) -> list[Logged]:
    rows = await log.connection.fetch("SELECT seq, type, data::text AS data FROM events ORDER BY seq")
    return [Logged(row["seq"], row["type"], row["data"]) for row in rows]


async def replayed(replica: Replica, log: LogDatabase, after: int, *, deltas: bool = True) -> list[Logged]:
    """What a reader with this cursor gets, page by page."""
    [session] = await log.connection.fetch("SELECT chat_session_id, last_seq FROM session_heads")
    key, events = TailKey(session["chat_session_id"], deltas), []
    while after < session["last_seq"]:
        page = await replica.tails.replay.page(key, after, session["last_seq"])
        events += parse_frames(page.payload)
        after = page.last
    return events


def unexplained(after: int, events: list[Logged]) -> list[int]:
    """Ids that a reader misses without a later `message` that says so."""
    seen = {event.id for event in events}
    explained: set[int] = set()
    for event in events:
        if event.type == "message" and (first := json.loads(event.data)["replacesFrom"]) is not None:
            explained |= set(range(first, event.id))
    return [one for one in range(after + 1, max(seen, default=after)) if one not in seen and one not in explained]


async def retention_of(replica: Replica, **seconds: float) -> Retention:
    """The service of a running replica, with other times."""
    service = replica.provider.get(ARetention)
    assert isinstance(service, Retention)
    service._compact_after = seconds.get("compact_after", 3600.0)
    service._trash_after = seconds.get("trash", 3600.0)
    return service


async def test_deltas_of_a_finished_message_go_and_everything_else_stays(quiet: Replica, log: LogDatabase) -> None:
    before = await finished(quiet, log)
    removed = await (await retention_of(quiet, compact_after=0.0)).compact()
    after = await stored(log)
    assert removed == 34
    assert after == [event for event in before if not event.type.endswith("_delta")]
    assert [event.type for event in after] == ["user_message", "run_started", "message", "usage", "completed"]


async def test_a_young_run_is_left_alone(quiet: Replica, log: LogDatabase) -> None:
    before = await finished(quiet, log)
    assert await (await retention_of(quiet, compact_after=3600.0)).compact() == 0
    assert tuple(await stored(log)) == before


async def test_deltas_of_a_message_that_was_never_finished_stay(quiet: Replica, log: LogDatabase) -> None:
    before = await finished(quiet, log, "[[tokens=30 rate=0 error_after=12]]")
    service = await retention_of(quiet, compact_after=0.0)
    assert await service.compact() == 0
    assert tuple(await stored(log)) == before
    assert await log.connection.fetchval("SELECT count(*) FROM runs WHERE compacted_at IS NULL") == 0


async def test_twice_is_as_good_as_once_and_a_second_look_finds_nothing(quiet: Replica, log: LogDatabase) -> None:
    await finished(quiet, log)
    service = await retention_of(quiet, compact_after=0.0)
    assert await service.compact() == 34
    assert await service.compact() == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.integers(0, 40), already=st.integers(0, 34))
async def test_a_reader_anywhere_in_the_gap_misses_nothing_that_is_not_explained(
    quiet: Replica, log: LogDatabase, cursor: int, already: int
) -> None:
    """`already`: how many deltas are gone when the reader comes; the rest goes between two of its pages or stays."""
    await log.connection.execute("TRUNCATE events, runs, session_heads, chat_sessions CASCADE")
    before = await finished(quiet, log)
    await log.connection.execute(
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE type LIKE '%_delta' ORDER BY random() LIMIT $1)",
        already,
    )
    events = await replayed(quiet, log, cursor)
    assert unexplained(cursor, events) == []
    assert set(events) <= set(before), "bytes once sent never change"
    assert {event.id for event in before if event.id > cursor and not event.type.endswith("_delta")} <= {
        event.id for event in events
    }
    whole = await replayed(quiet, log, cursor, deltas=False)
    assert whole == [event for event in before if event.id > cursor and not event.type.endswith("_delta")]


async def test_a_deleted_session_is_purged_with_its_events_when_its_time_is_over(
    quiet: Replica, log: LogDatabase
) -> None:
    await finished(quiet, log)
    [session_id] = [row["id"] for row in await log.connection.fetch("SELECT id FROM chat_sessions")]
    service = await retention_of(quiet, trash=0.0)
    assert await service.purge() == 0, "it is not deleted yet"
    await quiet.sessions.delete(log.user_id, session_id)
    assert await (await retention_of(quiet, trash=3600.0)).purge() == 0, "its time is not over yet"
    # As a version that knew of no links leaves it behind.
    await log.connection.execute("INSERT INTO shares (chat_session_id, id) SELECT id, id FROM chat_sessions")
    assert await (await retention_of(quiet, trash=0.0)).purge() == 1
    for table in ("chat_sessions", "shares", "session_heads", "runs", "events", "purges"):
        assert await log.connection.fetchval(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608
    with pytest.raises(NotFound):
        await quiet.sessions.find(log.user_id, session_id)


async def test_a_restored_session_is_not_purged(quiet: Replica, log: LogDatabase) -> None:
    before = await finished(quiet, log)
    [session_id] = [row["id"] for row in await log.connection.fetch("SELECT id FROM chat_sessions")]
    await quiet.sessions.delete(log.user_id, session_id)
    await quiet.sessions.restore(log.user_id, session_id)
    assert await (await retention_of(quiet, trash=0.0)).purge() == 0
    assert tuple(await stored(log)) == before


async def test_a_deleted_session_that_still_runs_waits_for_its_end(quiet: Replica, log: LogDatabase) -> None:
    accepted = await quiet.prompt(log, "[[tokens=1000 rate=50]]")
    await log.connection.execute("UPDATE chat_sessions SET deleted_at = now() - interval '1 day'")
    assert await (await retention_of(quiet, trash=0.0)).purge() == 0
    await log.connection.execute("UPDATE chat_sessions SET deleted_at = NULL")
    await quiet.runs.interrupt(log.user_id, accepted.session_id, None)
    await until_status(log, accepted.run_id, "interrupted")
