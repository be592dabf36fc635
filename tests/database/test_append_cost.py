"""An append leaves no work behind: the rows that it changes are changed in place (heap-only tuples)."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg

from webedt.database.embedded import EmbeddedPostgres
from webedt.database.migrations import migrate
from webedt.database.sql import load_queries

APPEND = load_queries("events")["append_batch"]

FILL = """
INSERT INTO users (id, email, password_hash) VALUES (md5('u')::uuid, 'u@example.com', 'x');
INSERT INTO chat_sessions (id, user_id, title, status, provider)
SELECT md5('s' || n)::uuid, md5('u')::uuid, 'Session', 'running', 'simulated' FROM generate_series(1, {sessions}) n;
INSERT INTO session_heads (chat_session_id, fence, running_run_id) SELECT id, 1, id FROM chat_sessions;
INSERT INTO runs (chat_session_id, id, prompt_seq, provider, status, owner)
SELECT id, id, 0, 'simulated', 'running', md5('i')::uuid FROM chat_sessions;
"""


async def append(connection: Any, sessions: list[UUID], first_ordinal: int, n: int) -> list[Any]:
    """`n` events and a checkpoint for each session, whose run has the session's own id."""
    count = len(sessions)
    entries = [number for number in range(1, count + 1) for _ in range(n)]
    rows: list[Any] = await connection.fetch(
        APPEND,
        sessions,
        [1] * count,
        [first_ordinal] * count,
        [n] * count,
        sessions,
        [f'{{"emitted":{first_ordinal}}}'] * count,
        [None] * count,
        [None] * count,
        entries,
        list(range(1, n + 1)) * count,
        ["text_delta"] * len(entries),
        [f'{{"text":"{uuid4()}"}}'] * len(entries),
    )
    return rows


async def updates_in_place(url: str, sessions: int, rounds: int) -> dict[str, tuple[int, int]]:
    """Append to so many sessions so many times: by table the updates, and how many were heap-only."""
    connection = await asyncpg.connect(url)
    await connection.execute(FILL.format(sessions=sessions))
    ids = [row["id"] for row in await connection.fetch("SELECT id FROM chat_sessions ORDER BY id")]
    for number in range(rounds):
        rows = await append(connection, ids, number * 2 + 1, 2)
        assert {row["base"] for row in rows} == {number * 2}
    await connection.execute("SELECT pg_stat_force_next_flush()")
    rows = await connection.fetch("SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables")
    await connection.close()
    return {row["relname"]: (row["n_tup_upd"], row["n_tup_hot_upd"]) for row in rows}


async def test_no_index_has_to_follow_an_append(database_url: str) -> None:
    """So few versions that all fit on their page: only an index on a changed column could be in the way."""
    updates = await updates_in_place(database_url, sessions=1, rounds=25)
    assert updates["session_heads"] == (25, 25)
    assert updates["runs"] == (25, 25)
    assert updates["chat_sessions"] == (0, 0), "an append without an ending touches no session"


async def test_a_page_full_of_heads_is_cleared_as_fast_as_it_is_filled(own_postgres: EmbeddedPostgres) -> None:
    """On a server without other work: a transaction elsewhere in the cluster keeps old versions for its time."""
    url = own_postgres.start()
    await migrate(url)
    updates = await updates_in_place(url, sessions=300, rounds=30)
    for table in ("session_heads", "runs"):
        total, in_place = updates[table]
        assert total == 9000
        assert in_place >= 0.95 * total, f"{table}: {in_place} of {total}"
