"""What one statement costs, each alone: the prices that `scripts/capacity` and its simulation reckon with.

CPU is that of the backend which carries the statement out, and of this process, which sends it as a replica does.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import psutil
from redis.asyncio import Redis

from tests.bench.bench import Bench, claimed_run, delta, make_user
from tests.bench.buses import backends, cpu_seconds
from tests.bench.figures import Figure
from tests.bench.server import TICK_SECONDS, database
from tests.support.redis_server import redis_server
from webedt.bus.interface import Topic
from webedt.bus.signals import Signal, decode, encode
from webedt.composition import compose_services
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.identity import Identity
from webedt.log.chunks import Chunk, TailKey
from webedt.log.tails import ATails
from webedt.telemetry.metrics import Metrics

SESSIONS = 10_000
LARGE_SESSIONS = 50
LARGE_EVENTS_EACH = 4
CONNECTIONS = (1, 4, 16, 64)
LISTENERS = (1, 16)
PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}


class Spent(NamedTuple):
    """A turn of some work, on average."""

    database_us: float
    client_us: float
    wall_us: float


async def costs(bench: Bench) -> list[Figure]:
    async with database(bench.server_url) as url:
        # As the writer's is.
        connection = await asyncpg.connect(url, server_settings=PLANNED_ONCE)
        try:
            return [
                *await _appends(connection, bench),
                *await _reads(url, connection, bench),
                *await _sweeps(connection, bench),
                *await _notifications(url, connection, bench),
                *await _commits_at_once(url, connection, bench),
                *await _publishing(bench),
            ]
        finally:
            await connection.close()


async def _appends(connection: Any, bench: Bench) -> list[Figure]:
    user_id = await make_user(connection)
    runs = [await claimed_run(connection, user_id) for _ in range(LARGE_SESSIONS)]
    appender = Appender(connection, runs)
    one = await spent(connection, bench.size(3000), lambda: appender.append(1, 1))
    large = await spent(connection, bench.size(500), lambda: appender.append(LARGE_SESSIONS, LARGE_EVENTS_EACH))
    events = LARGE_SESSIONS * LARGE_EVENTS_EACH
    return [
        Figure("costs", "append of one event: PostgreSQL", one.database_us, "µs"),
        Figure("costs", "append of one event: replica", one.client_us, "µs"),
        Figure("costs", "append of one event: until answered, fsync with it", one.wall_us, "µs"),
        Figure("costs", f"append of {events} events: PostgreSQL", large.database_us, "µs"),
        Figure("costs", f"append of {events} events: replica", large.client_us, "µs"),
    ]


async def _reads(url: str, connection: Any, bench: Bench) -> list[Figure]:
    """As a replica does it: a task, a connection out of the pool, the answer into the tail."""
    run = await claimed_run(connection, await make_user(connection))
    await Appender(connection, [run]).append(1, 1)
    settings = Settings(database_url=url, environment="test", log_level="error")
    provider = compose_services(settings, Identity(uuid4(), "bench"), Metrics("bench"))
    await provider.initialize()
    try:
        await provider.get(ADatabase).wait_until_ready()
        tail = provider.get(ATails).open(TailKey(run[0], deltas=True), Nobody())
        await tail.refresh()
        taken = await spent(connection, bench.size(3000), tail.refresh, backends=await backends(connection))
    finally:
        await provider.reset()
    return [
        Figure("costs", "read of a tail: PostgreSQL", taken.database_us, "µs"),
        Figure("costs", "read of a tail: replica", taken.client_us, "µs"),
    ]


class Nobody:
    """A reader that is told nothing."""

    def push(self, _chunk: Chunk) -> bool:
        return True

    def wake(self) -> None:
        pass


async def _sweeps(connection: Any, bench: Bench) -> list[Figure]:
    """Each of the questions that a replica asks for all that is open on it, every second or two."""
    count = bench.size(SESSIONS)
    ids = [uuid4() for _ in range(count)]
    await connection.execute(
        """INSERT INTO users (id, email, password_hash)
           SELECT id, id || '@bench.local', '' FROM unnest($1::uuid[]) id""",
        ids,
    )
    await connection.execute(
        """INSERT INTO sessions (id, user_id, token_hash, expires_at)
           SELECT id, id, sha256(uuid_send(id)), now() + interval '1 day' FROM unnest($1::uuid[]) id""",
        ids,
    )
    await connection.execute(
        """INSERT INTO chat_sessions (id, user_id, title, status, provider)
           SELECT id, id, 'bench', 'completed', 'simulated' FROM unnest($1::uuid[]) id""",
        ids,
    )
    await connection.execute(
        "INSERT INTO session_heads (chat_session_id) SELECT id FROM unnest($1::uuid[]) id",
        ids,
    )
    await connection.execute("INSERT INTO instances (id, container_id) VALUES ($1, 'bench')", ids[0])
    await connection.execute(
        """INSERT INTO runs (chat_session_id, id, prompt_seq, provider, status, owner)
           SELECT id, id, 1, 'simulated', 'running', $2 FROM unnest($1::uuid[]) id""",
        ids, ids[0],
    )  # fmt: skip
    await connection.execute("ANALYZE")
    figures = []
    abandoned = await connection.prepare(load_queries("runs")["find_abandoned"])
    taken = await spent(
        connection,
        bench.size(50, least=2),
        lambda: abandoned.fetch(1e9, ids[0], [], ["simulated"], [], 20),
    )
    figures.append(Figure("costs", "look for abandoned runs: PostgreSQL", taken.database_us / count, "µs/running"))
    for name, file, query in (
        ("tails", "events", "compare_positions"),
        ("logins", "access", "find_valid_passes"),
        ("lists", "sessions", "list_changed_users"),
    ):
        statement = await connection.prepare(load_queries(file)[query])
        taken = await spent(connection, bench.size(50, least=2), lambda ask=statement: ask.fetch(ids))
        figures += [
            Figure("costs", f"sweep of {name}: PostgreSQL", taken.database_us / count, "µs/one"),
            Figure("costs", f"sweep of {name}: replica", taken.client_us / count, "µs/one"),
        ]
    return figures


async def _notifications(url: str, connection: Any, bench: Bench) -> list[Figure]:
    """One that is heard, of ten sessions; then as many notifiers as listeners, as in a fleet: the lock that is between
    them is the whole cluster's."""
    payload = encode(Signal(uuid4().hex, {Topic.EVENTS: [uuid4() for _ in range(10)]}, [1000] * 10))
    figures = []
    for count in LISTENERS:
        heard = asyncio.Semaphore(0)

        def hear(*signal: Any, heard: asyncio.Semaphore = heard) -> None:
            decode(signal[-1])
            heard.release()

        listeners = [await asyncpg.connect(url) for _ in range(count)]
        notifiers = [await asyncpg.connect(url) for _ in range(count)]
        try:
            for one in listeners:
                await one.add_listener("bench", hear)

            async def notify(by: Any = connection, count: int = count, heard: asyncio.Semaphore = heard) -> None:
                await by.execute("SELECT pg_notify('bench', $1)", payload)
                for _ in range(count):
                    await heard.acquire()

            taken = await spent(connection, bench.size(1000), notify, also=listeners)
            each = max(1, bench.size(2000) // count)
            started = time.perf_counter()
            await asyncio.gather(*(_repeat(lambda by=by: notify(by), each) for by in notifiers))
            rate = each * count / (time.perf_counter() - started)
        finally:
            for one in (*listeners, *notifiers):
                await one.close()
        figures += [
            Figure("costs", f"NOTIFY, {count} listening: PostgreSQL", taken.database_us, "µs"),
            Figure("costs", f"NOTIFY, {count} listening: all that hear", taken.client_us, "µs"),
            Figure("costs", f"NOTIFY, {count} listening, as many notifying", rate, "/s"),
        ]
    return figures


async def _publishing(bench: Bench) -> list[Figure]:
    """A signal through Redis, to so many replicas: it has one core for all of them."""
    try:
        with redis_server() as redis:
            return [
                await _published(redis.url, redis.process, count, bench.size(20_000 // min(4, count)))
                for count in LISTENERS
            ]
    except FileNotFoundError:
        print("no redis-server is installed: nothing is measured with it", file=sys.stderr)
        return []


async def _published(url: str, process: psutil.Process, subscribers: int, messages: int) -> Figure:
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(Redis.from_url(url))
        heard = []
        for _ in range(subscribers):
            subscriber = await stack.enter_async_context(client.pubsub())
            await subscriber.subscribe("bench")
            await subscriber.get_message(timeout=5)
            heard.append(subscriber)
        before = cpu_seconds([process])
        for at in range(0, messages, 100):
            async with client.pipeline(transaction=False) as pipeline:
                for _ in range(min(100, messages - at)):
                    pipeline.publish("bench", b"x" * 500)
                await pipeline.execute()
            for subscriber in heard:
                for _ in range(min(100, messages - at)):
                    await subscriber.get_message(ignore_subscribe_messages=True, timeout=5)
        cpu = max(TICK_SECONDS, cpu_seconds([process]) - before)
    return Figure("costs", f"PUBLISH to {subscribers}: Redis", cpu / messages * 1e6, "µs")


async def _commits_at_once(url: str, connection: Any, bench: Bench) -> list[Figure]:
    """As many writers as replicas: how far PostgreSQL puts their commits into one fsync."""
    user_id = await make_user(connection)
    figures = []
    for count in CONNECTIONS if bench.sizes == 1 else CONNECTIONS[:2]:
        writers = [await asyncpg.connect(url, server_settings=PLANNED_ONCE) for _ in range(count)]
        try:
            appenders = [Appender(one, [await claimed_run(connection, user_id)]) for one in writers]
            each = max(1, bench.size(4000) // count)
            started = time.perf_counter()
            await asyncio.gather(*(_repeat(lambda one=one: one.append(1, 1), each) for one in appenders))
            rate = each * count / (time.perf_counter() - started)
        finally:
            for writer in writers:
                await writer.close()
        figures.append(Figure("costs", f"appends by {count} at once", rate, "commits/s"))
    return figures


async def _repeat(work: Callable[[], Awaitable[Any]], times: int) -> None:
    for _ in range(times):
        await work()


async def spent(
    connection: Any,
    times: int,
    work: Callable[[], Awaitable[Any]],
    also: Sequence[Any] = (),
    backends: Sequence[psutil.Process] = (),
) -> Spent:
    """What one of so many turns costs this process, the clock, and the backends: those of the connections, if no others
    are named."""
    pids = [await one.fetchval("SELECT pg_backend_pid()") for one in (connection, *also)]
    processes = list(backends) or [psutil.Process(pid) for pid in pids]
    await _repeat(work, max(1, min(10, times)))  # plans and caches
    before, client, wall = cpu_seconds(processes), time.process_time(), time.perf_counter()
    await _repeat(work, times)
    taken = (
        max(TICK_SECONDS, cpu_seconds(processes) - before),
        time.process_time() - client,
        time.perf_counter() - wall,
    )
    return Spent(*(seconds / times * 1e6 for seconds in taken))


class Appender:
    """Sends `append_batch` for runs that nobody else drives."""

    def __init__(self, connection: Any, runs: Sequence[tuple[UUID, UUID]]) -> None:
        self._connection = connection
        self._runs = sorted(runs)
        self._ordinals = dict.fromkeys(self._runs, 0)
        self._event = delta(runs[0][1], 1)
        self._sql = load_queries("events")["append_batch"]

    async def append(self, sessions: int, events_each: int) -> None:
        runs = self._runs[:sessions]
        entries = [number for number in range(1, sessions + 1) for _ in range(events_each)]
        rows = await self._connection.fetch(
            self._sql,
            [session_id for session_id, _ in runs],
            [1] * sessions,
            [self._ordinals[run] + 1 for run in runs],
            [events_each] * sessions,
            [run_id for _, run_id in runs],
            *([None] * sessions for _ in range(3)),
            entries,
            list(range(1, events_each + 1)) * sessions,
            [self._event.type] * len(entries),
            [self._event.data] * len(entries),
        )
        if any(row["base"] is None for row in rows):
            raise AssertionError("an append was not stored")
        for run in runs:
            self._ordinals[run] += events_each
