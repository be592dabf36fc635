"""Migrations: twice, two replicas at once, a database that is ahead, and `sql/schema.sql` as their sum."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from tests.database.catalog import SOMEBODY_WAITS, describe_catalog
from tests.support.waiting import eventually
from webedt.database import migrations
from webedt.database.migrations import LOCK_KEY, known_migrations, migrate, pending_migrations
from webedt.database.sql import sql_folder

RECORDS = re.compile(r"INSERT INTO schema_migrations \(version, name\) VALUES \((\d+), '(\w+)'\);")


async def test_schema_sql_is_the_sum_of_the_migrations(empty_database_url: str, database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute((sql_folder() / "schema.sql").read_text())
    await connection.close()
    by_file, by_migrations = await describe_catalog(empty_database_url), await describe_catalog(database_url)
    assert by_file["columns"]
    for kind in by_migrations:
        assert by_file[kind] == by_migrations[kind], kind


async def test_a_second_migrate_has_nothing_to_do(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) == [item.path.stem for item in known_migrations()]
    before = await describe_catalog(empty_database_url)
    assert await migrate(empty_database_url) == []
    assert await describe_catalog(empty_database_url) == before


async def test_of_replicas_that_migrate_at_once_each_migration_is_done_by_one(empty_database_url: str) -> None:
    done = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(name for names in done for name in names) == [item.path.stem for item in known_migrations()]


async def test_a_migrate_waits_for_the_one_that_holds_the_lock(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        migrating = asyncio.create_task(migrate(empty_database_url))
        await eventually(lambda: connection.fetchval(SOMEBODY_WAITS), "it waits for the lock")
        assert await connection.fetchval("SELECT to_regclass('users')") is None
    assert await migrating == [item.path.stem for item in known_migrations()]
    await connection.close()


async def test_a_database_ahead_of_the_code_is_current(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'of_a_newer_version')")
    assert await pending_migrations(connection) == []
    await connection.close()
    assert await migrate(database_url) == []


async def test_a_failing_migration_leaves_nothing_of_itself(
    empty_database_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "migrations").mkdir()
    for item in known_migrations():
        (tmp_path / "migrations" / item.path.name).write_text(item.path.read_text())
    version = len(known_migrations()) + 1
    (tmp_path / "migrations" / f"{version:04}_broken.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    monkeypatch.setattr(migrations, "sql_folder", lambda: tmp_path)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url)
    assert await describe_catalog(empty_database_url) == await describe_catalog(database_url)


@pytest.mark.parametrize("names", [["0002_late.sql"], ["0001_a.sql", "0001_b.sql"], ["1_short.sql"]])
def test_gaps_doubles_and_misnamed_files_are_refused(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "migrations").mkdir()
    for name in names:
        (tmp_path / "migrations" / name).touch()
    monkeypatch.setattr(migrations, "sql_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"numbered|named"):
        known_migrations()


def test_every_migration_records_itself_under_its_own_number_and_name() -> None:
    for item in known_migrations():
        recorded = re.findall(
            r"INTO schema_migrations \(version, name\) VALUES \((\d+), '(\w+)'\);", item.path.read_text()
        )
        assert recorded == [(str(item.version), item.name)], item.path.name
