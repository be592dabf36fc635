"""W2: many runs at once, each read to its end by the request that began it; an event is durable before it is seen."""

import asyncio
from typing import Any

from tests.bench.bench import Bench, written_at
from tests.bench.figures import Figure, p50_and_p99
from tests.bench.readers import Reader, close, connect, post
from tests.bench.server import Server

SESSIONS = 300
SECONDS = 10
# A little more than the 30 that the target asks for: what is asked exactly can only be missed.
RATE = 30.3


async def live(bench: Bench) -> list[Figure]:
    sessions, seconds = bench.size(SESSIONS, least=3), bench.seconds(SECONDS)
    asked = sessions * RATE
    connection, replica = await bench.connection(), await bench.replica()
    tokens = int(seconds * RATE)
    body = {"userRequest": f"[[tokens={tokens} rate={RATE} size=8]]", "provider": "simulated"}
    request = post(replica.port, "/api/execute-remote", replica.headers, body)
    before = await _wal_bytes(connection)
    cost, opened = await _read(replica, request, sessions)
    # user_message, run_started, the deltas, message, usage, completed
    times = [one.arrivals(0, tokens + 5) for one in opened]
    written = await written_at(connection, [one.session_id for one in opened])
    latencies = _latencies(opened, times, written)
    begin, end = _while_all_were_open(times)
    sustained = _latencies(
        opened, [{seq: at for seq, at in seen.items() if begin <= at <= end} for seen in times], written
    )
    wal = (await _wal_bytes(connection) - before) / len(written)
    naive_cost, naive_rate, naive_latencies = await _naive(bench, connection, sessions, max(6, tokens // 15))
    unwatched = await _unwatched(bench, connection, replica, body, sessions)
    rate = sum(begin <= at <= end for seen in times for at in seen.values()) / (end - begin)
    return [
        Figure("live", f"naive: events seen, {asked:,.0f} a second asked", naive_rate, "events/s"),
        Figure("live", "naive: CPU", naive_cost, "µs/event"),
        *p50_and_p99("live", "naive: commit to reader", naive_latencies),
        # 9,000 are asked of the real size only.
        Figure("live", f"events seen, {asked:,.0f} a second asked", rate, "events/s", f">= {sessions * 30}"),
        *p50_and_p99("live", "commit to reader", sustained, ("<= 15", "<= 60")),
        *p50_and_p99("live", "the same, with the time in which all begin at once", latencies),
        Figure("live", "CPU, requests and simulated provider with it", cost, "µs/event", "<= 70"),
        Figure("live", "CPU when nobody watches", unwatched, "µs/event"),
        Figure("live", "WAL, sessions and runs with it", wal, "bytes/event"),
        Figure("live", "events seen / naive", rate / naive_rate, "x"),
        Figure("live", "naive CPU / CPU", naive_cost / cost, "x"),
    ]


async def _read(process: Server, request: bytes, sessions: int) -> tuple[float, list[Reader]]:
    """CPU microseconds an event, and the readers with everything they saw."""
    cpu = process.cpu_seconds()
    opened = await connect(process.port, request, count=sessions, until=b"event: completed\n")
    async with asyncio.timeout(180):
        await asyncio.gather(*(one.done for one in opened))
    spent = process.cpu_seconds_since(cpu)
    close(opened)
    return spent / sum(one.last_id for one in opened) * 1e6, opened


def _latencies(
    opened: list[Reader], times: list[dict[int, float]], written: dict[tuple[str, int], float]
) -> list[float]:
    """Of all events but the first, the prompt, which is there before there is a stream."""
    pairs = [(one.session_id, seen) for one, seen in zip(opened, times, strict=True)]
    return [at - written[session_id, seq] for session_id, seen in pairs for seq, at in seen.items() if seq > 1]


def _while_all_were_open(times: list[dict[int, float]]) -> tuple[float, float]:
    """From when to when; or all of the time, if that was not even half of it."""
    begin, end = max(min(seen.values()) for seen in times), min(max(seen.values()) for seen in times)
    first, last = min(min(seen.values()) for seen in times), max(max(seen.values()) for seen in times)
    return (begin, end) if end - begin > (last - first) / 2 else (first, last)


async def _naive(bench: Bench, connection: Any, sessions: int, tokens: int) -> tuple[float, float, list[float]]:
    """It is asked for as many events a second, but for less long: it takes much longer."""
    naive = await bench.naive()
    request = post(naive.port, "/run", {}, {"tokens": tokens, "rate": RATE})
    cost, opened = await _read(naive, request, sessions)
    times = [one.arrivals(0, tokens + 1) for one in opened]
    written = await written_at(connection, [one.session_id for one in opened], naive=True)
    every = [at for seen in times for at in seen.values()]
    return cost, len(every) / (max(every) - min(every)), _latencies(opened, times, written)


async def _unwatched(bench: Bench, connection: Any, replica: Server, body: dict[str, Any], sessions: int) -> float:
    """The same runs, begun with `Prefer: respond-async`: their logs are written and nobody reads."""
    count = "SELECT count(*) FROM runs WHERE status IN ('queued', 'running')"
    headers = {**replica.headers, "Prefer": "respond-async"}
    before, cpu = int(await connection.fetchval("SELECT count(*) FROM events")), replica.cpu_seconds()
    for _ in range(sessions):
        url = f"{replica.url}/api/execute-remote"
        async with bench.http.post(url, json=body, headers=headers) as answer:
            assert answer.status == 202, answer.status
            await answer.read()
    async with asyncio.timeout(180):
        while await connection.fetchval(count):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)
    spent = replica.cpu_seconds_since(cpu)
    return spent / (int(await connection.fetchval("SELECT count(*) FROM events")) - before) * 1e6


async def _wal_bytes(connection: Any) -> int:
    return int(await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))
