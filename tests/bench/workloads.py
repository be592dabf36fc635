"""The workloads. Each answers a `Figure` for every number, with the target it is held against."""

import asyncio
import contextlib
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from tests.bench.floor import EVENTS
from tests.bench.readers import connect
from tests.bench.server import Server, floor
from webedt.composition import compose_services
from webedt.config import Settings
from webedt.domain.events import NewEvent, encode_delta
from webedt.fleet.identity import Identity
from webedt.log.interface import AEventWriter
from webedt.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Figure:
    """`target`: such as ">= 30000"; empty for a baseline, which is there to compare with."""

    workload: str
    name: str
    value: float
    unit: str
    target: str = ""

    @property
    def reached(self) -> bool | None:
        if not self.target:
            return None
        sign, bound = self.target.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


@contextlib.contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Seconds of the block, as the only element of the list."""
    taken: list[float] = []
    started = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - started)


async def claimed_run(connection: Any, user_id: UUID) -> tuple[UUID, UUID]:
    """A session with one running run under fence 1, put there directly."""
    session_id, run_id = uuid4(), uuid4()
    await connection.execute(
        """INSERT INTO chat_sessions (id, user_id, title, status, provider)
           VALUES ($1, $2, 'bench', 'running', 'simulated')""",
        session_id,
        user_id,
    )
    await connection.execute(
        "INSERT INTO session_heads (chat_session_id, fence, running_run_id) VALUES ($1, 1, $2)", session_id, run_id
    )
    await connection.execute(
        """INSERT INTO runs (chat_session_id, id, prompt_seq, provider, status)
           VALUES ($1, $2, 0, 'simulated', 'running')""",
        session_id,
        run_id,
    )
    return session_id, run_id


async def make_user(connection: Any) -> UUID:
    user_id = uuid4()
    await connection.execute(
        "INSERT INTO users (id, email, password_hash) VALUES ($1, $2, '')", user_id, f"{user_id}@bench.local"
    )
    return user_id


def delta(run_id: UUID, number: int) -> NewEvent:
    text = f"word {number} of an answer that goes on "
    return NewEvent("text_delta", encode_delta(str(run_id), f"msg_{run_id.hex}", text))


async def ingest(database_url: str, events: int, sessions: int) -> list[Figure]:
    """Durable events a second through the writer of one process, against one commit an event."""
    connection = await asyncpg.connect(database_url)
    user_id = await make_user(connection)
    session_id, run_id = await claimed_run(connection, user_id)
    naive_events = max(200, events // 100)
    with stopwatch() as naive:
        for number in range(1, naive_events + 1):
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
    settings = Settings(database_url=database_url, environment="test", log_level="error")
    provider = compose_services(settings, Identity(uuid4(), "bench"), Metrics("bench"))
    await provider.initialize()
    try:
        writer = provider.get(AEventWriter)
        runs = [await claimed_run(connection, user_id) for _ in range(sessions)]
        each = events // sessions
        prepared = [[delta(run_id, number) for number in range(each)] for _, run_id in runs]
        logs = [writer.open(session_id, run_id, 1) for session_id, run_id in runs]

        async def produce(number: int) -> None:
            for at in range(0, each, 10):
                await logs[number].append(prepared[number][at : at + 10])
            await logs[number].flush()

        with stopwatch() as ours:
            await asyncio.gather(*(produce(number) for number in range(sessions)))
    finally:
        await provider.reset()
        await connection.close()
    rate, naive_rate = each * sessions / ours[0], naive_events / naive[0]
    return [
        Figure("ingest", "one commit an event", naive_rate, "events/s"),
        Figure("ingest", "writer", rate, "events/s", ">= 30000"),
        Figure("ingest", "writer / naive", rate / naive_rate, "x", ">= 20"),
    ]


async def replay(database_url: str, server: Server, http: aiohttp.ClientSession, events: int) -> list[Figure]:
    """A long log out of the socket, against rows fetched and encoded one by one in the same process."""
    session_id = await _finished_session(server, http)
    connection = await asyncpg.connect(database_url)
    run_id = uuid4()
    await connection.execute(
        """INSERT INTO events (chat_session_id, seq, run_id, type, data)
           SELECT $1, n, $2, 'text_delta', $3::text::json FROM generate_series(
               (SELECT last_seq + 1 FROM session_heads WHERE chat_session_id = $1), $4::bigint) n""",
        session_id, run_id, delta(run_id, 1).data, events,
    )  # fmt: skip
    await connection.execute("UPDATE session_heads SET last_seq = $2 WHERE chat_session_id = $1", session_id, events)
    await connection.execute("VACUUM ANALYZE events")
    with stopwatch() as naive:
        rows = await connection.fetch(
            "SELECT seq, type, data FROM events WHERE chat_session_id = $1 ORDER BY seq", session_id
        )
        size = sum(len(f"id: {row['seq']}\nevent: {row['type']}\ndata: {row['data']}\n\n".encode()) for row in rows)
    await connection.close()
    rates, costs = [], []
    for _ in range(3):
        cpu, started = server.cpu_seconds(), time.perf_counter()
        reader = await connect(server.port, f"/api/resume/{session_id}", server.headers, until=b"event: caught_up")
        await reader.done
        rates.append(events / (time.perf_counter() - started))
        costs.append((server.cpu_seconds() - cpu) / events * 1e6)
        reader.transport.abort()
        if reader.bytes < size:
            raise AssertionError(f"{reader.bytes} bytes read, {size} expected")
    return [
        Figure("replay", "rows encoded one by one, no HTTP", events / naive[0], "events/s"),
        Figure("replay", "out of the socket", statistics.median(rates), "events/s", ">= 150000"),
        Figure("replay", "application CPU", statistics.median(costs), "µs/event", "<= 3"),
    ]


async def fan_out(server: Server, http: aiohttp.ClientSession, readers: int, events: int, rate: int) -> list[Figure]:
    """One session, many live readers."""
    session_id = await _finished_session(server, http)
    path = f"/api/sessions/{session_id}/events/stream"
    followers = []
    for number in range(readers):
        followers.append(await connect(server.port, path, server.headers, record=number % 10 == 0))
    await _until(lambda: all(one.bytes for one in followers))
    first = (await _session(server, http, session_id))["lastEventId"]
    cpu = server.cpu_seconds()
    prompt = {"message": f"[[tokens={events} rate={rate} size=60 seed=1]]"}
    async with http.post(f"{server.url}/api/sessions/{session_id}/send", json=prompt, headers=server.headers) as answer:
        answer.raise_for_status()
    last = first + events + 5  # user_message, run_started, the deltas, message, usage, completed
    await _until(lambda: all(one.last_id >= last for one in followers), seconds=120)
    cost = (server.cpu_seconds() - cpu) / (readers * (last - first)) * 1e6
    latencies = await _latencies(server, http, session_id, first, [one.seen for one in followers if one.seen])
    for one in followers:
        one.transport.abort()
    least = await _bare_writes(readers)
    return [
        Figure("fan-out", "nothing but transport.write", least, "µs/delivery"),
        Figure("fan-out", f"application CPU, {readers} readers", cost, "µs/delivery", "<= 15"),
        Figure("fan-out", "application / nothing but writes", cost / least, "x"),
        Figure("fan-out", "commit to reader, p50", statistics.median(latencies) * 1000, "ms"),
        Figure("fan-out", "commit to reader, p99", statistics.quantiles(latencies, n=100)[98] * 1000, "ms"),
    ]


async def _bare_writes(readers: int) -> float:
    """CPU of one delivery when a process does nothing else."""
    async with floor("writes") as process:
        followers = [await connect(process.port, "/", {}) for _ in range(readers)]
        await _until(lambda: all(one.bytes for one in followers))
        cpu = process.cpu_seconds()
        process.process.send_signal(signal.SIGUSR1)
        await _until(lambda: all(one.last_id >= EVENTS for one in followers), seconds=120)
        cost = (process.cpu_seconds() - cpu) / (readers * EVENTS) * 1e6
        for one in followers:
            one.transport.abort()
        return cost


async def _memory(process: Server, path: str, streams: int) -> tuple[float, float]:
    """KiB a stream, and streams opened a second."""
    warm = [await connect(process.port, path, process.headers) for _ in range(50)]
    await _until(lambda: all(one.bytes for one in warm))
    before = process.rss_bytes()
    opened = []
    with stopwatch() as taken:
        for _ in range(streams):
            opened.append(await connect(process.port, path, process.headers))
        await _until(lambda: all(one.bytes for one in opened))
    each = (process.rss_bytes() - before) / streams / 1024
    for one in warm + opened:
        one.transport.abort()
    return each, streams / taken[0]


async def idle(server: Server, http: aiohttp.ClientSession, streams: int) -> list[Figure]:
    """Streams that nothing comes in on."""
    session_id = await _finished_session(server, http)
    path = f"/api/sessions/{session_id}/events/stream"
    each, rate = await _memory(server, path, streams)
    async with floor("aiohttp") as process:
        bare, _ = await _memory(process, "/", streams)
    return [
        Figure("idle", "bare aiohttp stream", bare, "KiB/stream"),
        Figure("idle", f"resident memory, {streams} streams", each, "KiB/stream", "<= 25"),
        Figure("idle", "streams opened, one after the other", rate, "streams/s"),
    ]


async def _latencies(
    server: Server, http: aiohttp.ClientSession, session_id: str, after: int, seen: list[dict[int, float]]
) -> list[float]:
    url = f"{server.url}/api/sessions/{session_id}/events?after={after}&limit=5000"
    async with http.get(url, headers=server.headers) as answer:
        page = await answer.json()
    committed = {one["id"]: datetime.fromisoformat(one["createdAt"]).timestamp() for one in page["events"]}
    return [at - committed[event_id] for times in seen for event_id, at in times.items() if event_id in committed]


async def _finished_session(server: Server, http: aiohttp.ClientSession) -> str:
    body = {"userRequest": "[[tokens=1 rate=0]]", "provider": "simulated"}
    async with http.post(f"{server.url}/api/execute-remote", json=body, headers=server.headers) as answer:
        answer.raise_for_status()
        await answer.read()
        return answer.headers["X-Session-ID"]


async def _session(server: Server, http: aiohttp.ClientSession, session_id: str) -> dict[str, Any]:
    async with http.get(f"{server.url}/api/sessions/{session_id}", headers=server.headers) as answer:
        session: dict[str, Any] = (await answer.json())["session"]
        return session


async def _until(condition: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.02)
