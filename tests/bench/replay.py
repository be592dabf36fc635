"""W3: a long log, read from its first event by one reader and by twenty at once."""

import asyncio
import statistics
import time
from uuid import UUID, uuid4

from tests.bench.bench import Bench, fill, fill_naive, new_session
from tests.bench.figures import Figure, stopwatch
from tests.bench.readers import Reader, all_at, close, connect, get
from tests.bench.server import Server

EVENTS = 100_000
TOGETHER = 20


async def replay(bench: Bench) -> list[Figure]:
    events = bench.size(EVENTS)
    connection, replica = await bench.connection(), await bench.replica()
    session_id = await new_session(bench.http, replica)
    await fill(connection, session_id, events)
    query = "SELECT seq, type, data FROM events WHERE chat_session_id = $1 ORDER BY seq"
    with stopwatch() as copied:
        await connection.copy_from_query(query, UUID(session_id), output=_nowhere)
    with stopwatch() as encoded:
        rows = await connection.fetch(query, UUID(session_id))
        for row in rows:
            f"id: {row['seq']}\nevent: {row['type']}\ndata: {row['data']}\n\n".encode()
    request = get(replica.port, f"/api/resume/{session_id}", replica.headers)
    one = [await _read(replica, request, 1, events) for _ in range(bench.runs)]
    many = [await _read(replica, request, TOGETHER, events) for _ in range(bench.runs)]

    naive, session = await bench.naive(), str(uuid4())
    await fill_naive(connection, session, events)
    naive_request = get(naive.port, f"/stream/{session}", {})
    naive_rate, naive_cost, _ = await _read(naive, naive_request, 1, events)
    # A tenth of it: all of it takes minutes.
    tenth = str(uuid4())
    await fill_naive(connection, tenth, events // 10)
    together, _, late = await _read(naive, get(naive.port, f"/stream/{tenth}", {}), TOGETHER, events // 10)

    rate, cost, _ = (statistics.median(values) for values in zip(*one, strict=True))
    rates, costs, last = (statistics.median(values) for values in zip(*many, strict=True))
    return [
        Figure("replay", "floor: COPY out of PostgreSQL", events / copied[0], "events/s"),
        Figure("replay", "rows fetched and encoded in Python, no HTTP", events / encoded[0], "events/s"),
        Figure("replay", "naive: one reader", naive_rate, "events/s"),
        Figure("replay", "naive: CPU", naive_cost, "µs/event"),
        Figure("replay", f"naive: {TOGETHER} readers, a tenth of the log", together, "events/s"),
        Figure("replay", f"naive: {TOGETHER} readers, a tenth: first event of the last", late, "s"),
        Figure("replay", f"one reader, {events:,} events", rate, "events/s", ">= 350000"),
        Figure("replay", "one reader: CPU", cost, "µs/event", "<= 2"),
        Figure("replay", f"{TOGETHER} readers at once, together", rates, "events/s", ">= 400000"),
        Figure("replay", f"{TOGETHER} readers: CPU", costs, "µs/event"),
        Figure("replay", f"{TOGETHER} readers: first event of the last", last, "s", "<= 0.5"),
        Figure("replay", "one reader / naive", rate / naive_rate, "x"),
        Figure("replay", "one reader / COPY", rate * copied[0] / events, "x"),
    ]


async def _read(process: Server, request: bytes, count: int, events: int) -> tuple[float, float, float]:
    """Events a second, CPU microseconds an event, and seconds until the last reader had its first event."""
    cpu, began = process.cpu_seconds(), time.time()
    opened: list[Reader] = await connect(process.port, request, count=count)
    await all_at(opened, events)
    taken = max(one.ended for one in opened) - began
    spent = process.cpu_seconds_since(cpu)
    close(opened)
    first = max(one.arrivals(0, events)[1] for one in opened) - began
    await asyncio.sleep(0)  # the connections are closed before the next ones come
    return count * events / taken, spent / (count * events) * 1e6, first


async def _nowhere(_data: bytes) -> None:
    pass
