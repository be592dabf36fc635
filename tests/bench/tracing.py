"""What tracing costs the server: CPU of requests and of runs, with it off and with every trace recorded."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.server import Server, server
from tests.support.collector import collector

REQUESTS = 4000
RUNS = 200
EVENTS = 100
CALLERS = 8


async def tracing(bench: Bench) -> list[Figure]:
    figures: list[Figure] = []
    async with collector() as at:
        for name, settings in (("off", {}), ("every trace", {"OTEL_EXPORTER_OTLP_ENDPOINT": at.url})):
            async with server(await bench.url(), bench.http, **settings) as replica:
                requests, runs = bench.size(REQUESTS, CALLERS), bench.size(RUNS, CALLERS)
                await _ask(bench, replica, CALLERS)  # the first ones pay for what is made once
                each_request = await _ask(bench, replica, requests)
                each_run = await _run(bench, replica, runs)
            figures += [
                Figure("tracing", f"{name}: CPU of `GET /api/auth/session`", each_request * 1000, "ms"),
                Figure("tracing", f"{name}: CPU of a run of {EVENTS} deltas and its stream", each_run * 1000, "ms"),
            ]
    return figures


async def _ask(bench: Bench, replica: Server, count: int) -> float:
    async def ask() -> None:
        for _ in range(count // CALLERS):
            async with bench.http.get(f"{replica.url}/api/auth/session", headers=replica.headers) as answer:
                answer.raise_for_status()
                await answer.read()

    return await _cpu_each(replica, ask, count)


async def _run(bench: Bench, replica: Server, count: int) -> float:
    async def run() -> None:
        for _ in range(count // CALLERS):
            body = {"userRequest": f"[[tokens={EVENTS} rate=0]]", "provider": "simulated"}
            async with bench.http.post(
                f"{replica.url}/api/execute-remote", json=body, headers=replica.headers
            ) as answer:
                answer.raise_for_status()
                await answer.read()

    return await _cpu_each(replica, run, count)


async def _cpu_each(replica: Server, work: Callable[[], Awaitable[None]], count: int) -> float:
    before = replica.cpu_seconds()
    await asyncio.gather(*(work() for _ in range(CALLERS)))
    return replica.cpu_seconds_since(before) / (count // CALLERS * CALLERS)
