"""Readers on other replicas than the writer, by LISTEN and NOTIFY and by Redis: one session, and many."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil

from tests.bench.bench import Bench, last_id, new_session, written_at
from tests.bench.figures import Figure, p50_and_p99
from tests.bench.readers import all_at, all_begun, close, connect, get
from tests.bench.server import TICK_SECONDS, Server, server
from tests.support.redis_server import redis_server

READERS = 100
SESSIONS = 100
RATE = 30
SECONDS = 10
SETTLED_SECONDS = 30.0
FRAMING_EVENTS = 5  # user_message, run_started, message, usage, completed
ELSEWHERE = {"MAX_ACTIVE_RUNS": "0"}  # takes no runs: what its readers see is written on the first replica


async def replicas(bench: Bench) -> list[Figure]:
    """One session of which the first replica writes what the readers of the second one see."""
    figures = []
    for bus, url, _redis in _buses(with_redis=not _tiny(bench)):  # `bus` shows that the other one still works
        async with _fleet(bench, 2, url) as fleet:
            figures += await _measure(bench, "replicas", bus, fleet, 1, bench.size(READERS, least=2), None)
    return figures


async def bus(bench: Bench) -> list[Figure]:
    """Many sessions at once, each with a reader on one of the two replicas that do not write it."""
    figures = []
    for name, url, redis in _buses(with_redis=True):
        async with _fleet(bench, 2 if _tiny(bench) else 3, url) as fleet:
            figures += await _measure(bench, "bus", name, fleet, bench.size(SESSIONS, least=2), 1, redis)
    return figures


def _tiny(bench: Bench) -> bool:
    """Only to see that it works."""
    return bench.sizes >= 100


def _buses(*, with_redis: bool) -> Iterator[tuple[str, str, psutil.Process | None]]:
    yield "NOTIFY", "", None
    if not with_redis:
        return
    try:
        with redis_server() as redis:
            yield "Redis", redis.url, redis.process
    except FileNotFoundError:
        print("no redis-server is installed: nothing is measured with it", file=sys.stderr)


@contextlib.asynccontextmanager
async def _fleet(bench: Bench, size: int, redis_url: str) -> AsyncIterator[list[Server]]:
    settings = {"REDIS_URL": redis_url} if redis_url else {}
    async with contextlib.AsyncExitStack() as stack:
        url = await bench.url()
        fleet = [await stack.enter_async_context(server(url, bench.http, **settings))]
        for _ in range(size - 1):
            fleet.append(await stack.enter_async_context(server(url, bench.http, **ELSEWHERE, **settings)))
            fleet[-1].headers = fleet[0].headers
        for one in fleet:
            await settled(bench, one, "redis" if redis_url else "postgres")
        yield fleet


async def settled(bench: Bench, one: Server, way: str) -> None:
    """Signals go that way alone; in the smallest form, that way at all."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while True:
            async with bench.http.get(f"{one.url}/health/status") as answer:
                ways = (await answer.json())["bus"]["ways"]
            if ways == [way] or (_tiny(bench) and way in ways):
                return
            await asyncio.sleep(0.05)


async def _measure(
    bench: Bench,
    workload: str,
    bus: str,
    fleet: list[Server],
    sessions: int,
    readers: int,
    redis: psutil.Process | None,
) -> list[Figure]:
    connection = await bench.connection()
    writing, *reading = fleet
    tokens = bench.seconds(SECONDS) * RATE
    ids = [await new_session(bench.http, writing) for _ in range(sessions)]
    first = await last_id(connection, ids[0])
    opened = []
    for number, session_id in enumerate(ids):
        replica = reading[number % len(reading)]
        headers = {**replica.headers, "Last-Event-ID": str(first)}
        request = get(replica.port, f"/api/sessions/{session_id}/events/stream", headers)
        opened.append(await connect(replica.port, request, count=readers))
    everybody = [one for of_session in opened for one in of_session]
    await all_begun(everybody)
    servers = [one.process for one in fleet]
    database = await backends(connection)
    before = [cpu_seconds([one]) for one in servers] + [cpu_seconds(database), cpu_seconds([redis] if redis else [])]
    reads = [await _log_reads(bench, one) for one in reading]
    prompt = {"message": f"[[tokens={tokens} rate={RATE} size=8]]"}
    await asyncio.gather(*(say(bench, writing, session_id, prompt) for session_id in ids))
    last = first + tokens + FRAMING_EVENTS
    await all_at(everybody, last)
    after = [cpu_seconds([one]) for one in servers] + [cpu_seconds(database), cpu_seconds([redis] if redis else [])]
    spent = [max(TICK_SECONDS, end - begin) for begin, end in zip(before, after, strict=True)]
    read = sum([await _log_reads(bench, one) for one in reading]) - sum(reads)
    close(everybody)
    events = sessions * (last - first)
    written = await written_at(connection, ids)
    latencies = [
        at - written[session_id, seq]
        for session_id, of_session in zip(ids, opened, strict=True)
        for one in of_session
        for seq, at in one.arrivals(first, last).items()
    ]
    elsewhere = spent[1 : len(fleet)]
    figures = [
        *p50_and_p99(workload, f"{bus}: commit to a reader elsewhere", latencies),
        Figure(workload, f"{bus}: reads of the log elsewhere", read / events, "/event"),
        Figure(workload, f"{bus}: CPU of the replica that writes", spent[0] / events * 1e6, "µs/event"),
        Figure(workload, f"{bus}: CPU of those that do not", sum(elsewhere) / events * 1e6, "µs/event"),
    ]
    if database:
        figures.append(Figure(workload, f"{bus}: CPU of PostgreSQL", spent[-2] / events * 1e6, "µs/event"))
    if redis:
        figures.append(Figure(workload, f"{bus}: CPU of Redis", spent[-1] / events * 1e6, "µs/event"))
    return figures


async def say(bench: Bench, writing: Server, session_id: str, prompt: dict[str, str]) -> None:
    url = f"{writing.url}/api/sessions/{session_id}/send"
    async with bench.http.post(url, json=prompt, headers=writing.headers) as answer:
        answer.raise_for_status()


async def _log_reads(bench: Bench, one: Server) -> float:
    async with bench.http.get(f"{one.url}/metrics") as answer:
        found = re.findall(r"^webedt_log_reads_total\{.*\} (\S+)$", await answer.text(), re.MULTILINE)
    return sum(map(float, found))


async def backends(connection: Any) -> list[psutil.Process]:
    """The processes of this database, if they are on this machine, its background workers left out."""
    rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    local = os.environ.get("BENCH_DATABASE_URL", "@127.0.0.1").rsplit("@", 1)[-1].startswith(("127.0.0.1", "localhost"))
    return [psutil.Process(row["pid"]) for row in rows if local and psutil.pid_exists(row["pid"])]


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Of those that still run."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
