"""What the catalogs say: everything of a database's schema, as values that can be compared; who waits for a lock."""

from typing import Any

import asyncpg

# Of everything in the schema `public`, where ours is. Names, never numbers of objects. Of a column's options those that
# PostgreSQL itself knows: a server may carry others, which tools stamp on each table anew.
QUESTIONS = {
    "relations": """
        SELECT c.relname, c.relkind, c.relpersistence, c.reloptions, c.relreplident, c.relrowsecurity
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
        ORDER BY 1
    """,
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attstorage,
               a.attcompression, a.attidentity, a.attgenerated, a.attstattarget,
               ARRAY(SELECT o FROM unnest(a.attoptions) o WHERE o ^@ 'n_distinct' ORDER BY o) AS options,
               pg_get_expr(d.adbin, d.adrelid) AS default
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
        ORDER BY 1, 2
    """,
    "constraints": """
        SELECT conrelid::regclass::text AS relation, conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        ORDER BY 1, 2
    """,
    "indexes": """
        SELECT i.indrelid::regclass::text AS relation, i.indexrelid::regclass::text AS name,
               pg_get_indexdef(i.indexrelid) AS definition, i.indisvalid
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace
        ORDER BY 1, 2
    """,
    "functions": """
        SELECT oid::regprocedure::text, pg_get_functiondef(oid)
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
        ORDER BY 1
    """,
    "triggers": """
        SELECT tgname, pg_get_triggerdef(t.oid)
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
        ORDER BY 1
    """,
    "types": """
        SELECT typname, typtype FROM pg_type WHERE typnamespace = 'public'::regnamespace ORDER BY 1
    """,
    "comments": """
        SELECT objoid::regclass::text, objsubid, description
        FROM pg_description
        WHERE classoid = 'pg_class'::regclass AND objoid >= 16384
        ORDER BY 1, 2
    """,
    "migrations": "SELECT version, name FROM schema_migrations ORDER BY 1",
}

SOMEBODY_WAITS = """
    SELECT EXISTS (
        SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()
    )
"""


async def describe_catalog(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The schema of the database at `url`, by kind of object."""
    connection = await asyncpg.connect(url)
    try:
        return {kind: [tuple(row) for row in await connection.fetch(text)] for kind, text in QUESTIONS.items()}
    finally:
        await connection.close()
