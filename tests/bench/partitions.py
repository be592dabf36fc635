"""The log in partitions beside the same log in one table: appends, reads, and how long the conversion takes."""

from typing import Any
from uuid import UUID

import asyncpg

from tests.bench.bench import Bench, claimed_run, make_user
from tests.bench.costs import PLANNED_ONCE, Appender, spent
from tests.bench.figures import Figure, stopwatch
from tests.bench.growth import EVENTS_EACH, PAGE_BYTES, fill_sessions
from tests.bench.ingest import append_rate
from tests.bench.server import database
from tests.support.postgres import PARTITION_LOG
from webedt.database.sql import load_queries

EVENTS = 1_000_000
APPENDED = 100_000


async def partitions(bench: Bench) -> list[Figure]:
    # A database of its own: a replica would take over the runs that are made here.
    async with database(bench.server_url) as url:
        connection = await asyncpg.connect(url, server_settings=PLANNED_ONCE)
        try:
            return await _partitions(url, connection, bench)
        finally:
            await connection.close()


async def _partitions(url: str, connection: Any, bench: Bench) -> list[Figure]:
    user_id, events = await make_user(connection), bench.size(EVENTS, least=EVENTS_EACH)
    ids = await fill_sessions(connection, user_id, events // EVENTS_EACH)
    plain = await _look(url, connection, user_id, ids[0], bench)
    with stopwatch() as taken:
        await connection.execute(PARTITION_LOG.read_text())
    await connection.execute("CHECKPOINT")
    divided = await _look(url, connection, user_id, ids[0], bench)
    figures = [Figure("partitions", f"conversion of {events:,} events", taken[0], "s")]
    for name, value in plain.items():
        unit = "events/s" if name == "writer" else "µs"
        figures += [
            Figure("partitions", f"{name}, one table", value, unit),
            Figure("partitions", f"{name}, in partitions", divided[name], unit),
        ]
    return figures


async def _look(url: str, connection: Any, user_id: UUID, session_id: UUID, bench: Bench) -> dict[str, float]:
    """PostgreSQL's CPU of each statement, prepared; and what it costs to plan it anew each time."""
    rate, _wal = await append_rate(url, connection, user_id, bench.size(APPENDED))
    appender = Appender(connection, [await claimed_run(connection, user_id)])
    appended = await spent(connection, bench.size(2000), lambda: appender.append(1, 1))
    query, arguments = load_queries("events")["read_page"], (EVENTS_EACH - 20, EVENTS_EACH, 5000, PAGE_BYTES, True)
    page = await connection.prepare(query)
    read = await spent(connection, bench.size(5000), lambda: page.fetchrow(session_id, *arguments))
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    planned = await spent(connection, bench.size(2000), lambda: page.fetchrow(session_id, *arguments))
    planned_append = await spent(connection, bench.size(500), lambda: appender.append(1, 1))
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    return {
        "writer": rate,
        "append of one event": appended.database_us,
        "append of one event, planned each time": planned_append.database_us,
        "page of 20 events": read.database_us,
        "page of 20 events, planned each time": planned.database_us,
    }
