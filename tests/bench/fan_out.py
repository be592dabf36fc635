"""W1: one session, many live readers."""

import signal
from collections.abc import Awaitable, Callable
from uuid import uuid4

from tests.bench.bench import Bench, last_id, new_session, written_at
from tests.bench.figures import Figure, p50_and_p99
from tests.bench.floor import EVENTS, RATE
from tests.bench.readers import Reader, all_at, all_begun, close, connect, get
from tests.bench.server import Server, floor

READERS = 1000


async def fan_out(bench: Bench) -> list[Figure]:
    readers = bench.size(READERS)
    replica = await bench.replica()
    ours, latencies = await _session(bench, replica, readers)
    naive, naive_latencies = await _naive(bench, readers)
    least = await _floor(readers, bench.seconds(EVENTS))
    return [
        Figure("fan-out", "floor: nothing but transport.write", least, "µs/delivery"),
        Figure("fan-out", "naive: a task and a query a reader", naive, "µs/delivery"),
        *p50_and_p99("fan-out", "naive: commit to reader", naive_latencies),
        Figure("fan-out", f"CPU, {readers} readers", ours, "µs/delivery", "<= 13"),
        *p50_and_p99("fan-out", "commit to reader", latencies, ("<= 12", "<= 35")),
        Figure("fan-out", "CPU / floor", ours / least, "x"),
        Figure("fan-out", "naive / CPU", naive / ours, "x"),
    ]


async def _session(bench: Bench, replica: Server, readers: int) -> tuple[float, list[float]]:
    """CPU microseconds a delivery, and latencies."""
    connection = await bench.connection()
    session_id = await new_session(bench.http, replica)
    first = await last_id(connection, session_id)
    request = get(
        replica.port, f"/api/sessions/{session_id}/events/stream", {**replica.headers, "Last-Event-ID": str(first)}
    )

    events = bench.seconds(EVENTS)

    async def say() -> None:
        prompt = {"message": f"[[tokens={events} rate={RATE} size=8 seed=1]]"}
        url = f"{replica.url}/api/sessions/{session_id}/send"
        async with bench.http.post(url, json=prompt, headers=replica.headers) as answer:
            answer.raise_for_status()

    last = first + events + 5  # user_message, run_started, the deltas, message, usage, completed
    cost, opened = await _deliver(replica, request, readers, say, first, last)
    written = await written_at(connection, [session_id])
    return cost, [at - written[session_id, seq] for one in opened for seq, at in one.arrivals(first, last).items()]


async def _naive(bench: Bench, readers: int) -> tuple[float, list[float]]:
    connection, naive, session = await bench.connection(), await bench.naive(), str(uuid4())
    events = bench.seconds(EVENTS)

    async def say() -> None:
        body = {"session": session, "tokens": events, "rate": RATE}
        async with bench.http.post(f"{naive.url}/run", json=body) as answer:
            answer.raise_for_status()

    cost, opened = await _deliver(naive, get(naive.port, f"/stream/{session}", {}), readers, say, 0, events + 1)
    written = await written_at(connection, [session], naive=True)
    return cost, [at - written[session, seq] for one in opened for seq, at in one.arrivals(0, events + 1).items()]


async def _floor(readers: int, events: int) -> float:
    async with floor("writes") as process:

        async def begin() -> None:
            process.process.send_signal(signal.SIGUSR1)

        cost, opened = await _deliver(process, get(process.port, "/", {}), readers, begin, 0, events)
        for one in opened:
            one.arrivals(0)
        return cost


async def _deliver(
    process: Server, request: bytes, count: int, say: Callable[[], Awaitable[None]], first: int, last: int
) -> tuple[float, list[Reader]]:
    opened = await connect(process.port, request, count=count)
    await all_begun(opened)
    cpu = process.cpu_seconds()
    await say()
    await all_at(opened, last)
    cost = process.cpu_seconds_since(cpu) / (count * (last - first)) * 1e6
    close(opened)
    return cost, opened
