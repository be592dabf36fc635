"""W4: streams that nothing comes in on: what one costs, and whether a replica with 10,000 of them still answers."""

import asyncio
import time

from tests.bench.bench import Bench, new_session
from tests.bench.figures import Figure, p50_and_p99, stopwatch
from tests.bench.readers import AT_ONCE, Reader, all_begun, close, connect, get
from tests.bench.server import Server, floor, naive, raise_open_files, server

STREAMS = 4000
MANY = 10_000
# For everything else that a process has open.
SPARE_FILES = 500


async def idle(bench: Bench) -> list[Figure]:
    streams = bench.size(STREAMS)
    many = min(bench.size(MANY), raise_open_files() - SPARE_FILES)
    async with server(await bench.url(), bench.http) as replica:
        session_id, headers = await new_session(bench.http, replica), replica.headers
        request = get(replica.port, f"/api/sessions/{session_id}/events/stream", replica.headers)
        opened, each, rate = await _open(replica, request, streams)
        opened += await connect(replica.port, request, count=max(0, many - len(opened)))
        await all_begun(opened)
        answers = await _health(bench, replica, 10 if bench.sizes == 100 else bench.size(1000))
        if any(one.transport.is_closing() for one in opened):
            raise AssertionError("the replica closed idle streams")
        close(opened)
    async with server(await bench.url(), bench.http) as replica:
        request = get(replica.port, f"/api/sessions/{session_id}/events/stream", headers)
        opened, stormed, storm_rate = await _open(replica, request, streams, at_once=True)
        close(opened)
    async with naive(await bench.url()) as process:
        opened, naive_each, naive_rate = await _open(process, get(process.port, "/stream/idle", {}), streams)
        close(opened)
    async with floor("aiohttp") as process:
        opened, bare, _ = await _open(process, get(process.port, "/", {}), streams)
        close(opened)
    return [
        Figure("idle", "baseline: bare aiohttp stream", bare, "KiB/stream"),
        Figure("idle", "naive: memory", naive_each, "KiB/stream"),
        Figure("idle", f"memory, {streams:,} streams", each, "KiB/stream", "<= 15"),
        Figure("idle", "the same, all of them at once", stormed, "KiB/stream"),
        *p50_and_p99("idle", f"/health beside {many:,} streams", answers, ("", "<= 20")),
        Figure("idle", "naive: opened, no logins", naive_rate, "streams/s"),
        Figure("idle", f"opened, each with its login checked, {AT_ONCE} at a time", rate, "streams/s"),
        Figure("idle", "opened, all of them at once", storm_rate, "streams/s"),
        Figure("idle", "naive / memory", naive_each / each, "x"),
    ]


async def _open(
    process: Server, request: bytes, streams: int, *, at_once: bool = False
) -> tuple[list[Reader], float, float]:
    """Open streams; KiB of resident memory for each, and streams opened a second.

    `at_once`: none waits for another's answer. What is opened together costs what it needs while it is opened.
    """
    # The first ones pay for what all share, such as as many connections of the pool as there are openings at once.
    warm = await connect(process.port, request, count=2 * AT_ONCE)
    await all_begun(warm)
    before = process.rss_bytes()
    with stopwatch() as taken:
        opened = await connect(process.port, request, count=streams, begun=not at_once)
        await all_begun(opened)
    grown = max(1, process.rss_bytes() - before)  # a few streams may fit into what is there
    return warm + opened, grown / streams / 1024, streams / taken[0]


async def _health(bench: Bench, replica: Server, requests: int) -> list[float]:
    """Seconds of each request; over 15 s, for in so long every stream has its keep-alive."""
    taken = []
    for _ in range(requests):
        began = time.perf_counter()
        async with bench.http.get(f"{replica.url}/health") as answer:
            answer.raise_for_status()
            await answer.read()
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.015)
    return taken
