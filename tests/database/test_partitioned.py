"""The log in partitions (`sql/optional/partition_log.sql`): nothing is lost, no query differs, and whoever names a
session touches the partition of that session alone.

`TEST_PARTITIONED=1` runs the whole suite on such a database; these are always run.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.database.catalog import describe_catalog
from tests.database.running import running_database
from tests.database.test_plans import FILL, nodes
from tests.database.test_queries import QUERIES
from tests.support.log_harness import LogDatabase, LogReplica, deltas, ending, parse_frames, texts, within
from tests.support.postgres import PARTITION_LOG
from webedt.database import migrations
from webedt.database.migrations import known_migrations, migrate

PARTITIONS = 16

# What asks for no session: questions of a replica or a leader about all runs.
ASK_EVERY_PARTITION = {
    "count_runs",
    "find_abandoned",
    "find_claimable",
    "find_orphans",
    "find_runs_to_compact",
    "find_silent_remote_runs",
    "list_interrupts",
    "list_owned",
    "purge_instances",
    "list_instances",
}


async def convert(url: str, partitions: int = PARTITIONS) -> None:
    connection = await asyncpg.connect(url, server_settings={"webedt.partitions": str(partitions)})
    try:
        await connection.execute(PARTITION_LOG.read_text())
    finally:
        await connection.close()


@pytest.fixture
async def whole_url(empty_database_url: str) -> str:
    """Migrated, and not divided, however the suite runs."""
    await migrate(empty_database_url)
    return empty_database_url


@pytest.fixture
async def divided_url(whole_url: str) -> str:
    await convert(whole_url)
    return whole_url


@pytest.fixture
async def filled(whole_url: str) -> AsyncIterator[Any]:
    """Divided when it was full, on plans that know no arguments: the ones that prepared statements end up with."""
    connection = await asyncpg.connect(whole_url)
    await connection.execute(FILL)
    await convert(whole_url)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute("SET session_replication_role = replica")  # what is inserted here refers to nobody
    yield connection
    await connection.close()


# The conversion ------------------------------------------------------------------------------------------------------


async def test_nothing_is_lost_and_the_partitions_are_about_as_large_as_each_other(whole_url: str) -> None:
    everything = {
        name: f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t"  # noqa: S608
        for name in ("events", "runs")
    }
    connection = await asyncpg.connect(whole_url)
    await connection.execute(FILL)
    before = {name: await connection.fetchrow(query) for name, query in everything.items()}
    await convert(whole_url)
    assert {name: await connection.fetchrow(query) for name, query in everything.items()} == before
    runs = dict(await connection.fetch("SELECT tableoid::regclass::text, count(*) FROM runs GROUP BY 1"))
    await connection.close()
    assert len(runs) == PARTITIONS
    assert max(runs.values()) < 1.5 * min(runs.values())


async def test_the_tables_keep_their_columns_constraints_and_indexes(whole_url: str) -> None:
    before = await describe_catalog(whole_url)
    await convert(whole_url)
    after = await describe_catalog(whole_url)
    for kind in ("columns", "constraints", "indexes"):
        kept = [row for row in after[kind] if row[0] in {row[0] for row in before[kind]}]
        assert [without_only(row) for row in kept] == before[kind], kind


def without_only(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.replace(" ON ONLY ", " ON ") if isinstance(value, str) else value for value in row)


async def test_partitions_keep_room_for_updates_in_place(divided_url: str) -> None:
    connection = await asyncpg.connect(divided_url)
    options = await connection.fetch("SELECT reloptions FROM pg_class WHERE relname ~ '^runs_[0-9]+$'")
    await connection.close()
    assert [row["reloptions"] for row in options] == [["fillfactor=70"]] * PARTITIONS


async def test_a_log_that_is_divided_already_is_left_alone(divided_url: str) -> None:
    before = await describe_catalog(divided_url)
    with pytest.raises(asyncpg.RaiseError, match="divided already"):
        await convert(divided_url)
    assert await describe_catalog(divided_url) == before


async def test_who_may_use_the_tables_still_may(whole_url: str) -> None:
    connection = await asyncpg.connect(whole_url)
    await connection.execute("GRANT SELECT ON events TO PUBLIC")
    before = await connection.fetchval("SELECT relacl::text FROM pg_class WHERE oid = 'events'::regclass")
    await convert(whole_url)
    assert await connection.fetchval("SELECT relacl::text FROM pg_class WHERE oid = 'events'::regclass") == before
    await connection.close()


async def test_later_migrations_apply_to_a_divided_log(
    empty_database_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Divided at its first version, brought up to date, and one further than today."""
    (tmp_path / "migrations").mkdir()
    first, *others = known_migrations()
    (tmp_path / "migrations" / first.path.name).write_text(first.path.read_text())
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "sql_folder", lambda: tmp_path)
        await migrate(empty_database_url)
    await convert(empty_database_url)
    assert await migrate(empty_database_url) == [item.path.stem for item in others]
    for item in others:
        (tmp_path / "migrations" / item.path.name).write_text(item.path.read_text())
    later = f"{len(others) + 2:04}_later"
    (tmp_path / "migrations" / f"{later}.sql").write_text(
        "ALTER TABLE events ADD COLUMN origin text; CREATE INDEX events_by_run ON events (chat_session_id, run_id);"
    )
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "sql_folder", lambda: tmp_path)
        assert await migrate(empty_database_url) == [later]
    connection = await asyncpg.connect(empty_database_url)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    indexed = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events_by_run'::regclass"
    assert await connection.fetchval(invalid) == 0
    assert await connection.fetchval(indexed) == PARTITIONS
    await connection.close()
    async with running_database(empty_database_url) as database:  # returns when it is ready, as `/ready` says it
        assert database.state.reason is None


# The log -------------------------------------------------------------------------------------------------------------


async def test_a_replica_appends_to_and_replays_from_all_partitions(divided_url: str) -> None:
    async with LogDatabase(divided_url) as log, LogReplica(divided_url).running() as replica:
        runs = [await log.new_claim() for _ in range(48)]
        producers = [replica.open(run) for run in runs]

        async def write(number: int) -> None:
            for part in range(5):
                await producers[number].append(deltas(runs[number], f"{number} {part}"))
            await producers[number].append([ending(runs[number])], outcome="completed")

        await within(asyncio.gather(*map(write, range(len(runs)))))
        await within(asyncio.gather(*(producer.flush() for producer in producers)))
        for number, run in enumerate(runs):
            events = parse_frames(await replica.replay(run.session_id))
            assert [event.id for event in events] == list(range(1, len(events) + 1))
            assert texts(events) == [f"{number} {part}" for part in range(5)]
            assert events[-1].type == "completed"
        used = await log.connection.fetchval("SELECT count(DISTINCT tableoid) FROM events")
        assert used > PARTITIONS / 2


# Plans ---------------------------------------------------------------------------------------------------------------

SESSION, RUN = "md5('s1')::uuid", "md5('r1')::uuid"  # of `FILL`; its log has 4,000 events
# The session has a run that is driven and one that waits, its user an idempotency key; and one replica is long gone.
BUSY = f"""
UPDATE session_heads SET last_seq = 4000, running_run_id = {RUN}, queued_runs = 1 WHERE chat_session_id = {SESSION};
UPDATE runs SET status = 'running', ended_at = NULL, end_seq = NULL WHERE chat_session_id = {SESSION};
INSERT INTO runs (chat_session_id, id, prompt_seq, provider) VALUES ({SESSION}, md5('waits')::uuid, 2, 'simulated');
UPDATE chat_sessions
SET status = 'running', updated_at = now() - interval '1 day',
    provider_state = '{{"provider":"simulated","turn":"open"}}'
WHERE id = {SESSION};
UPDATE events SET created_at = now() - interval '1 day' WHERE chat_session_id = {SESSION} AND seq = 4000;
INSERT INTO idempotency_keys (user_id, route, key, body_hash, chat_session_id, run_id)
VALUES ({SESSION}, '1', '1', '', {SESSION}, {RUN});
UPDATE instances SET heartbeat_at = now() - interval '2 hours' WHERE container_id = 'i5';
"""  # noqa: S608
VALUES = {
    "int8": "1",
    "int4": "1",
    "float8": "1",
    "bool": "true",
    "bytea": "'x'",
    "text": "'1'",
    "timestamptz": "now()",
}
# Where a parameter has to be something else, by its number.
ARGUMENTS: dict[str, dict[int, str]] = {
    "adopt_logged_outcome": {3: "'failed'"},
    "append_batch": {
        1: f"ARRAY[{SESSION}]", 2: "'{1}'", 3: "'{4}'", 4: "'{1}'", 5: f"ARRAY[{RUN}]",
        6: "'{NULL}'", 7: "'{NULL}'", 8: "'{completed}'", 9: "'{1}'", 10: "'{1}'", 11: "'{completed}'", 12: "'{1}'",
    },
    "end_run": {3: "'failed'"},
    "find_orphans": {3: "10"},
    "find_silent_remote_runs": {2: "10", 3: "'{simulated}'"},
    "insert_prompt": {2: "gen_random_uuid()"},
    "insert_session": {1: "gen_random_uuid()"},
    "list_instances": {1: "1000"},
    "purge_session": {1: "md5('s3')::uuid", 2: "0"},
    "read_page": {2: "0", 3: "4000", 4: "100", 5: "100000"},
    "settle_status": {2: "'failed'"},
}  # fmt: skip


async def test_whoever_names_a_session_touches_one_partition_of_each_table(filled: Any) -> None:
    await filled.execute(BUSY)
    touched = {name: await partitions_touched(filled, name, text) for (_file, name), text in QUERIES.items()}
    everywhere = {name for name, tables in touched.items() if max(tables.values(), default=0) > 1}
    assert everywhere <= ASK_EVERY_PARTITION
    assert {"count_runs", "find_abandoned", "find_claimable", "list_owned"} <= everywhere
    assert max(tables["events"] for tables in touched.values()) == 1
    for name in ("append_batch", "read_page", "read_tail", "read_next_run", "find_run", "delete_superseded_deltas"):
        assert 1 in touched[name].values(), f"{name} is not carried out at all with these arguments"


async def partitions_touched(connection: Any, name: str, text: str) -> Counter[str]:
    """By table: how many of its partitions the query reads when it is carried out; whatever it changes is undone."""
    types = [parameter.name for parameter in (await connection.prepare(text)).get_parameters()]
    given = ARGUMENTS.get(name, {})
    arguments = [given.get(number) or argument(number, kind) for number, kind in enumerate(types, 1)]
    call = f"({', '.join(arguments)})" if arguments else ""
    await connection.execute(f"PREPARE asked AS {text}")
    undone = connection.transaction()
    await undone.start()
    try:
        answer = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked{call}")
    except asyncpg.PostgresError as error:
        raise AssertionError(f"{name}{call}: {error}") from error
    finally:
        await undone.rollback()
        await connection.execute("DEALLOCATE asked")
    read = {node["Relation Name"] for node in nodes(json.loads(answer)[0]["Plan"]) if was_read(node)}
    return Counter(relation.rsplit("_", 1)[0] for relation in read)


def argument(number: int, kind: str) -> str:
    if kind == "uuid":
        return SESSION if number == 1 else RUN
    if kind.endswith("[]"):
        return f"'{{}}'::{kind}"
    return f"{VALUES[kind]}::{kind}"


def was_read(node: dict[str, Any]) -> bool:
    table, _, number = node.get("Relation Name", "").rpartition("_")
    return (
        table in ("events", "runs") and number.isdecimal() and node["Actual Loops"] > 0 and "Scan" in node["Node Type"]
    )


async def test_a_statement_that_a_pool_keeps_prepared_still_reads_one_partition(filled: Any) -> None:
    """By the sixth time PostgreSQL may have made a plan for any session: it is pruned when it is carried out."""
    await filled.execute("SET plan_cache_mode = auto")
    sessions: list[UUID] = [row["id"] for row in await filled.fetch("SELECT id FROM chat_sessions LIMIT 8")]
    for name, arguments in (
        ("read_page", (0, 4, 100, 1 << 20, True)),
        ("read_tail", (0, 100, 1 << 20, True)),
        ("read_json_page", (0, 100, 1 << 20)),
    ):
        statement = await filled.prepare(QUERIES["events", name])
        before = await scans(filled)
        for session_id in sessions:
            await statement.fetchrow(session_id, *arguments)
        assert await scans(filled) - before == len(sessions), name


async def scans(connection: Any) -> int:
    """Index scans of all partitions of `events` so far."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    return int(
        await connection.fetchval(
            "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE relname ~ '^events_[0-9]+$'",
        )
    )
