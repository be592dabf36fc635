"""Whether a long history costs anybody anything: the same append and replay with much in the tables as with little.

Both sides of each ratio are measured in the same run, on the same database, with its caches as they are then.
"""

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tests.bench.bench import Bench, delta, make_user
from tests.bench.figures import Figure
from tests.bench.ingest import append_rate
from tests.bench.server import database
from webedt.database.sql import load_queries

EVENTS = 10_000_000
APPENDED = 100_000
SMALL = 100
EVENTS_EACH = 1000
TRIES = 300
PAGE_BYTES = 256 * 1024
# What the handlers ask, and with what: the session id first.
ASKED = {
    "replay of 1,000 events": ("read_page", (0, EVENTS_EACH, 5000, PAGE_BYTES, True)),
    "the last 20 events": ("read_page", (EVENTS_EACH - 20, EVENTS_EACH, 5000, PAGE_BYTES, True)),
}


async def growth(bench: Bench) -> list[Figure]:
    # A database of its own: a replica would take over the runs that are made here.
    async with database(bench.server_url) as url:
        connection = await asyncpg.connect(url)
        try:
            return await _growth(url, connection, bench)
        finally:
            await connection.close()


async def _growth(url: str, connection: Any, bench: Bench) -> list[Figure]:
    user_id = await make_user(connection)
    events, appended = bench.size(EVENTS), bench.size(APPENDED)
    before = await _look(connection, await fill_sessions(connection, user_id, SMALL))
    rate_before, _wal = await append_rate(url, connection, user_id, appended)
    many = await fill_sessions(connection, user_id, events // EVENTS_EACH)
    after = await _look(connection, many)
    rate_after, _wal = await append_rate(url, connection, user_id, appended)
    size = await connection.fetchval("SELECT pg_total_relation_size('events') / 1024.0 / 1024 / 1024")
    if bench.sizes == 1:
        print(await _plans(connection, many[len(many) // 2]))
    figures = [Figure("growth", "events in the full table", events, "events")]
    figures.append(Figure("growth", "size of the full table", float(size), "GiB"))
    for name, first in before.items():
        figures += [
            Figure("growth", f"{name}, small table", first * 1000, "ms"),
            Figure("growth", f"{name}, full / small", after[name] / first, "x", "<= 3"),
        ]
    return [
        *figures,
        Figure("growth", "writer, full table", rate_after, "events/s", ">= 50000"),
        Figure("growth", "time of an append, full / small", rate_before / rate_after, "x", "<= 1.5"),
    ]


async def fill_sessions(connection: Any, user_id: UUID, sessions: int) -> Sequence[UUID]:
    """Ended sessions with 1,000 events each, in batches that a server with little memory takes well."""
    made: list[UUID] = []
    for at in range(0, sessions, 500):
        ids = [uuid4() for _ in range(min(500, sessions - at))]
        await connection.execute(
            """INSERT INTO chat_sessions (id, user_id, title, status, provider, completed_at)
               SELECT id, $2, 'bench', 'completed', 'simulated', now() FROM unnest($1::uuid[]) id""",
            ids,
            user_id,
        )
        await connection.execute(
            "INSERT INTO session_heads (chat_session_id, last_seq) SELECT id, $2 FROM unnest($1::uuid[]) id",
            ids,
            EVENTS_EACH,
        )
        await connection.execute(
            """INSERT INTO events (chat_session_id, seq, run_id, type, data)
               SELECT id, n, $2, 'text_delta', $3::text::json
               FROM generate_series(1, $4::bigint) n, unnest($1::uuid[]) id""",
            ids, uuid4(), delta(uuid4(), 1).data, EVENTS_EACH,
        )  # fmt: skip
        made += ids
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    return made


async def _look(connection: Any, sessions: Sequence[UUID]) -> dict[str, float]:
    """Median seconds of each question, asked of sessions at random."""
    queries = load_queries("events")
    chosen = random.Random(1).choices(sessions, k=TRIES)
    found = {}
    for name, (query, arguments) in ASKED.items():
        statement = await connection.prepare(queries[query])
        found[name] = await _median(chosen, lambda one, ask=statement, rest=arguments: ask.fetchrow(one, *rest))
    statement = await connection.prepare(queries["read_tail"])
    found["a tail at its end"] = await _median(
        chosen, lambda one: statement.fetchrow(one, EVENTS_EACH, 5000, PAGE_BYTES, True)
    )
    return found


async def _median(chosen: Sequence[UUID], ask: Callable[[UUID], Awaitable[Any]]) -> float:
    taken = []
    for session_id in chosen:
        started = time.perf_counter()
        await ask(session_id)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


async def _plans(connection: Any, session_id: UUID) -> str:
    queries = load_queries("events")
    asked = [(name, queries[query], (session_id, *arguments)) for name, (query, arguments) in ASKED.items()]
    asked.append(("a tail at its end", queries["read_tail"], (session_id, EVENTS_EACH, 5000, PAGE_BYTES, True)))
    parts = []
    for name, query, arguments in asked:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {query}", *arguments)
        parts.append(f"{name}:\n" + "\n".join(f"  {row[0]}" for row in rows))
    return "\n\n".join(parts)
