"""The writer of one process alone: durable events a second, as fast as it can."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tests.bench.bench import Bench, claimed_run, delta, make_user
from tests.bench.figures import Figure, stopwatch
from tests.bench.server import database
from webedt.composition import compose_services
from webedt.config import Settings
from webedt.fleet.identity import Identity
from webedt.log.interface import AEventWriter
from webedt.telemetry.metrics import Metrics

EVENTS = 200_000
SESSIONS = 50
TOGETHER = 200


async def ingest(bench: Bench) -> list[Figure]:
    # A database of its own: a replica would take over the runs that are made here.
    async with database(bench.server_url) as url:
        connection = await asyncpg.connect(url)
        try:
            return await _ingest(url, connection, bench.size(EVENTS))
        finally:
            await connection.close()


async def _ingest(url: str, connection: Any, events: int) -> list[Figure]:
    user_id = await make_user(connection)
    naive_rate = await _one_commit_an_event(
        connection, max(200, events // 100), *await claimed_run(connection, user_id)
    )
    copied = await _copy(connection, events, *await claimed_run(connection, user_id))
    rate, wal = await append_rate(url, connection, user_id, events)
    return [
        Figure("ingest", "naive: one commit an event, one connection", naive_rate, "events/s"),
        Figure("ingest", f"floor: COPY of {TOGETHER} rows a transaction", copied, "events/s"),
        Figure("ingest", "writer", rate, "events/s", ">= 50000"),
        Figure("ingest", "WAL", wal, "bytes/event"),
        Figure("ingest", "writer / naive", rate / naive_rate, "x", ">= 20"),
        Figure("ingest", "writer / COPY", rate / copied, "x"),
    ]


async def append_rate(url: str, connection: Any, user_id: UUID, events: int) -> tuple[float, float]:
    """Durable events a second through the writer of one process, and bytes of WAL for each."""
    settings = Settings(database_url=url, environment="test", log_level="error")
    provider = compose_services(settings, Identity(uuid4(), "bench"), Metrics("bench"))
    await provider.initialize()
    try:
        writer = provider.get(AEventWriter)
        runs = [await claimed_run(connection, user_id) for _ in range(SESSIONS)]
        each = events // SESSIONS
        prepared = [[delta(run_id, number) for number in range(each)] for _, run_id in runs]
        logs = [writer.open(session_id, run_id, 1) for session_id, run_id in runs]

        async def produce(number: int) -> None:
            for at in range(0, each, 10):
                await logs[number].append(prepared[number][at : at + 10])
            await logs[number].flush()

        before = await connection.fetchval("SELECT pg_current_wal_lsn()")
        with stopwatch() as ours:
            await asyncio.gather(*(produce(number) for number in range(SESSIONS)))
        wal = float(await connection.fetchval("SELECT pg_current_wal_lsn() - $1", before))
    finally:
        await provider.reset()
    stored = await connection.fetchval(
        "SELECT count(*) FROM events WHERE chat_session_id = ANY ($1)", [session_id for session_id, _ in runs]
    )
    if stored != each * SESSIONS:
        raise AssertionError(f"{stored} events stored, {each * SESSIONS} written")
    return stored / ours[0], wal / stored


async def _one_commit_an_event(connection: Any, events: int, session_id: Any, run_id: Any) -> float:
    with stopwatch() as taken:
        for number in range(1, events + 1):
            async with connection.transaction():
                seq = await connection.fetchval(
                    "UPDATE session_heads SET last_seq = last_seq + 1 WHERE chat_session_id = $1 RETURNING last_seq",
                    session_id,
                )
                event = delta(run_id, number)
                await connection.execute(
                    "INSERT INTO events (chat_session_id, seq, run_id, type, data) VALUES ($1, $2, $3, $4, $5)",
                    session_id, seq, run_id, event.type, event.data,
                )  # fmt: skip
    return events / taken[0]


async def _copy(connection: Any, events: int, session_id: Any, run_id: Any) -> float:
    rows = [(session_id, number, run_id, "text_delta", delta(run_id, number).data) for number in range(1, events + 1)]
    columns = ("chat_session_id", "seq", "run_id", "type", "data")
    with stopwatch() as taken:
        for at in range(0, events, TOGETHER):
            await connection.copy_records_to_table("events", records=rows[at : at + TOGETHER], columns=columns)
    return events / taken[0]
