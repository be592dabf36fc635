"""Applies `sql/migrations/NNNN_name.sql`, forward only, each in one transaction.

Any number of replicas may do so at once: an advisory transaction lock lets one work and the others find it done. Each
file records itself in `schema_migrations`, so that `psql -f` leaves the same trace (`scripts/apply-sql`).
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from webedt.database.sql import sql_folder

LOCK_KEY = 0x7765_6265_6474  # "webedt" in ASCII; scripts/apply-sql uses the same number
LOCK_WAIT = "120s"
STATEMENT_LOCK_WAIT = "10s"
_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")


class Migration(NamedTuple):
    version: int
    name: str
    path: Path


def known_migrations() -> list[Migration]:
    """The migrations that this code comes with, oldest first. Raises `ValueError` for a gap or a misnamed file."""
    found = []
    for path in sorted((sql_folder() / "migrations").glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise ValueError(f"{path.name} is not named NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2], path))
    if [item.version for item in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are not numbered 1, 2, 3, …")
    return found


async def applied_versions(connection: Any) -> set[int]:
    """The versions that the database has; empty for a new one."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return set()
    return {row["version"] for row in await connection.fetch("SELECT version FROM schema_migrations")}


async def pending_migrations(connection: Any) -> list[Migration]:
    """What is still to be applied. A database that is ahead of this code has nothing pending: old code runs on it."""
    applied = await applied_versions(connection)
    return [item for item in known_migrations() if item.version not in applied]


async def migrate(dsn: str) -> list[str]:
    """Bring the database up to date; returns the names of what was applied, such as `0001_initial`."""
    connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "webedt-migrate"})
    done: list[str] = []
    try:
        for migration in known_migrations():
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
                await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK_KEY})")
                await connection.execute(f"SET LOCAL lock_timeout = '{STATEMENT_LOCK_WAIT}'")
                if migration.version in await applied_versions(connection):
                    continue
                await connection.execute(migration.path.read_text())
                done.append(migration.path.stem)
    finally:
        await connection.close(timeout=10)
    return done
