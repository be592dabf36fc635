"""Old code runs on the new schema: a migration takes nothing from the code before it, and asks nothing new of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from webedt.database.migrations import known_migrations

# Migrations that contract, and the release whose code no longer needs what they remove: {"0009_name": "1.4"}.
CONTRACTING: dict[str, str] = {}

COLUMNS = """
SELECT c.relname AS relation, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS must_be_given
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
# Whatever refuses a row, and what ON CONFLICT may name. That a column is required is said by the columns.
RULES = """
SELECT conrelid::regclass::text AS relation, pg_get_constraintdef(oid) AS rule
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION
SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND indisunique
"""


@dataclass(frozen=True)
class Schema:
    columns: dict[tuple[str, str], Any]
    rules: set[tuple[str, str]]

    @property
    def tables(self) -> set[str]:
        return {table for table, _name in self.columns}


async def schema_of(connection: Any) -> Schema:
    columns, rules = await connection.fetch(COLUMNS), await connection.fetch(RULES)
    return Schema({(row["relation"], row["name"]): row for row in columns}, {tuple(row) for row in rules})


def stumbling_blocks(before: Schema, after: Schema) -> list[str]:
    """What code that was written for `before` may stumble over on `after`."""
    found = []
    for key, column in before.columns.items():
        now = after.columns.get(key)
        if now is None or now["type"] != column["type"]:
            found.append(f"{'.'.join(key)} is not what it was")
        elif now["required"] > column["required"]:
            found.append(f"{'.'.join(key)} is required by now")
    for key, column in after.columns.items():
        if key not in before.columns and key[0] in before.tables and column["must_be_given"]:
            found.append(f"{'.'.join(key)} must be given, and old code does not know it")
    changed = before.rules ^ after.rules
    return found + [f"{relation}: {rule}" for relation, rule in changed if relation in before.tables]


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def test_no_migration_takes_anything_from_the_code_before_it(connection: Any) -> None:
    before = await schema_of(connection)
    for migration in known_migrations():
        await connection.execute(migration.path.read_text())
        after = await schema_of(connection)
        if migration.path.stem not in CONTRACTING:
            assert stumbling_blocks(before, after) == [], migration.path.name
        before = after


@pytest.mark.parametrize(
    ("change", "is_one"),
    [
        ("DROP TABLE shares", True),
        ("ALTER TABLE users DROP COLUMN display_name", True),
        ("ALTER TABLE users RENAME COLUMN display_name TO name", True),
        ("ALTER TABLE users ALTER COLUMN display_name TYPE varchar(20)", True),
        ("ALTER TABLE users ALTER COLUMN display_name SET NOT NULL", True),
        ("ALTER TABLE users ADD COLUMN age integer NOT NULL", True),
        ("ALTER TABLE users ADD CHECK (display_name <> '')", True),
        ("CREATE UNIQUE INDEX ON users (display_name)", True),
        ("ALTER TABLE users DROP CONSTRAINT users_email_key", True),
        ("ALTER TABLE users ADD COLUMN age integer", False),
        ("ALTER TABLE users ADD COLUMN age integer NOT NULL DEFAULT 0", False),
        ("ALTER TABLE users ALTER COLUMN password_hash DROP NOT NULL", False),
        (
            "CREATE TABLE pets (id uuid PRIMARY KEY, name text NOT NULL UNIQUE); CREATE INDEX ON users (display_name)",
            False,
        ),
    ],
)
async def test_what_old_code_stumbles_over_is_found(connection: Any, change: str, is_one: bool) -> None:
    for migration in known_migrations():
        await connection.execute(migration.path.read_text())
    before = await schema_of(connection)
    await connection.execute(change)
    assert bool(stumbling_blocks(before, await schema_of(connection))) == is_one
