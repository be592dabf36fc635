"""`scripts/apply-sql` does by psql what `webedt migrate` does, and the two may run side by side."""

import asyncio
import os
import shutil
from pathlib import Path

import asyncpg
import pytest

from tests.database.catalog import SOMEBODY_WAITS, describe_catalog
from tests.support.waiting import eventually
from webedt.database.embedded import EmbeddedPostgresError
from webedt.database.embedded_files import ServerAccount, server_programs
from webedt.database.migrations import (
    LOCK_KEY,
    LOCK_WAIT,
    STATEMENT_LOCK_WAIT,
    known_migrations,
    migrate,
    pending_migrations,
)

SCRIPT = Path(__file__).parents[2] / "scripts" / "apply-sql"


@pytest.fixture(scope="session")
def psql() -> str:
    """The psql of the embedded server, or else the one on the PATH."""
    try:
        program = server_programs(ServerAccount()) / "psql"
    except EmbeddedPostgresError:
        program = None
    found = str(program) if program is not None and program.exists() else shutil.which("psql")
    if found is None:
        pytest.skip("neither the embedded PostgreSQL nor the PATH has a psql")
    return found


async def apply(psql: str, *arguments: str, script: Path = SCRIPT) -> tuple[int, str, str]:
    """Run the script; returns its exit status and what it said on standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        str(script),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PSQL": psql},
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def copied_script(folder: Path) -> Path:
    """The script in a folder of its own, with the migrations beside it, for tests that add one."""
    shutil.copytree(SCRIPT.parents[1] / "sql", folder / "sql")
    (folder / "scripts").mkdir()
    return Path(shutil.copy(SCRIPT, folder / "scripts"))


async def test_it_leaves_what_migrate_leaves(psql: str, empty_database_url: str, database_url: str) -> None:
    status, output, errors = await apply(psql, empty_database_url)
    assert (status, errors) == (0, "")
    assert output.split() == [word for item in known_migrations() for word in ("applied", item.path.stem)]
    assert await describe_catalog(empty_database_url) == await describe_catalog(database_url)


async def test_the_schema_file_leaves_the_same(psql: str, empty_database_url: str, database_url: str) -> None:
    assert await apply(psql, "--schema", empty_database_url) == (0, "applied schema\n", "")
    assert await describe_catalog(empty_database_url) == await describe_catalog(database_url)
    connection = await asyncpg.connect(empty_database_url)
    assert await pending_migrations(connection) == []
    await connection.close()


async def test_a_second_time_it_has_nothing_to_do(psql: str, database_url: str) -> None:
    before = await describe_catalog(database_url)
    assert await apply(psql, database_url) == (0, "nothing to do: the schema is current\n", "")
    assert await describe_catalog(database_url) == before


async def test_the_schema_file_is_refused_where_a_schema_is(psql: str, database_url: str) -> None:
    before = await describe_catalog(database_url)
    status, output, errors = await apply(psql, "--schema", database_url)
    assert status != 0
    assert output == ""
    assert "run apply-sql without --schema" in errors
    assert await describe_catalog(database_url) == before


async def test_only_what_is_missing_is_applied(psql: str, database_url: str, tmp_path: Path) -> None:
    script = copied_script(tmp_path)
    version = len(known_migrations()) + 1
    newer = tmp_path / "sql" / "migrations" / f"{version:04}_newer.sql"
    newer.write_text(f"CREATE TABLE newer ();\nINSERT INTO schema_migrations VALUES ({version}, 'newer');")
    assert await apply(psql, database_url, script=script) == (0, f"applied {version:04}_newer\n", "")
    assert await apply(psql, database_url, script=script) == (0, "nothing to do: the schema is current\n", "")


async def test_a_file_that_fails_leaves_nothing_of_itself(
    psql: str, empty_database_url: str, database_url: str, tmp_path: Path
) -> None:
    script = copied_script(tmp_path)
    version = len(known_migrations()) + 1
    (tmp_path / "sql" / "migrations" / f"{version:04}_broken.sql").write_text("CREATE TABLE half ();\nSELECT 1 / 0;\n")
    status, output, errors = await apply(psql, empty_database_url, script=script)
    assert status != 0
    assert "applied 0001_initial" in output
    assert f"{version:04}_broken.sql:2: ERROR:  division by zero" in errors
    assert await describe_catalog(empty_database_url) == await describe_catalog(database_url)


async def test_it_waits_for_a_migrate_that_is_under_way(psql: str, empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        applying = asyncio.create_task(apply(psql, empty_database_url))
        await eventually(lambda: connection.fetchval(SOMEBODY_WAITS), "the script waits for the lock")
        assert not applying.done()
        assert await connection.fetchval("SELECT to_regclass('users')") is None
    assert (await applying)[0] == 0
    await connection.close()


async def test_beside_migrate_each_migration_is_applied_once(psql: str, empty_database_url: str) -> None:
    *scripts, by_migrate = await asyncio.gather(
        apply(psql, empty_database_url), apply(psql, empty_database_url), migrate(empty_database_url)
    )
    assert [status for status, _, _ in scripts] == [0, 0]
    applied = [line.removeprefix("applied ") for _, output, _ in scripts for line in output.splitlines()]
    applied = [name for name in applied if name != "nothing to do: the schema is current"]
    assert sorted(applied + by_migrate) == [item.path.stem for item in known_migrations()]


async def test_a_wrong_call_says_how_it_is_called(psql: str) -> None:
    for arguments in ((), ("--schema",), ("not-a-url",), ("postgresql://a", "more")):
        status, _, errors = await apply(psql, *arguments)
        assert status == 2
        assert errors.startswith("usage: ")


async def test_a_missing_psql_is_named(empty_database_url: str) -> None:
    status, _, errors = await apply("/nowhere/psql", empty_database_url)
    assert status == 1
    assert "/nowhere/psql was not found" in errors


def test_its_lock_and_waits_are_those_of_migrate() -> None:
    text = SCRIPT.read_text()
    assert f"pg_advisory_xact_lock({LOCK_KEY})" in text
    assert f"SET LOCAL lock_timeout = '{LOCK_WAIT}'" in text
    assert f"SET LOCAL lock_timeout = '{STATEMENT_LOCK_WAIT}'" in text
