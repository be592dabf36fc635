"""One, two and three replicas that all drive runs, each read on the next replica: what grows with their number.

The points that the simulation of `scripts/capacity` is held against. All replicas, PostgreSQL and the load generator
share the machine: CPU an event, commits and reads can be compared, latencies hardly.
"""

import contextlib
import re
import time
from collections.abc import Mapping, Sequence

from tests.bench.bench import Bench, last_id, new_session, written_at
from tests.bench.buses import FRAMING_EVENTS, backends, cpu_seconds, say, settled
from tests.bench.figures import Figure, p50_and_p99
from tests.bench.readers import all_at, all_begun, close, connect, get
from tests.bench.server import Server, server

SESSIONS = 12
RATE = 30
SECONDS = 4
SIZES = (1, 2, 3)


async def fleet(bench: Bench) -> list[Figure]:
    figures = []
    for size in SIZES if bench.sizes < 100 else SIZES[1:2]:
        async with contextlib.AsyncExitStack() as stack:
            url = await bench.url()
            replicas = [await stack.enter_async_context(server(url, bench.http)) for _ in range(size)]
            for one in replicas:
                one.headers = replicas[0].headers
                await settled(bench, one, "postgres")
            figures += _median([await _measure(bench, replicas) for _ in range(bench.runs)])
    return figures


def _median(runs: Sequence[Sequence[Figure]]) -> Sequence[Figure]:
    """The run with the median CPU, whole: its figures belong together."""
    return sorted(runs, key=lambda run: sum(one.value for one in run if "CPU" in one.name))[len(runs) // 2]


async def _measure(bench: Bench, replicas: Sequence[Server]) -> list[Figure]:
    connection = await bench.connection()
    sessions, tokens = bench.size(SESSIONS, least=len(replicas)), bench.seconds(SECONDS) * RATE
    driving = [replicas[number % len(replicas)] for number in range(sessions)]
    reading = [replicas[(number + 1) % len(replicas)] for number in range(sessions)]
    ids = [await new_session(bench.http, replica) for replica in driving]
    firsts = [await last_id(connection, session_id) for session_id in ids]
    opened = []
    for session_id, replica, first in zip(ids, reading, firsts, strict=True):
        headers = {**replica.headers, "Last-Event-ID": str(first)}
        request = get(replica.port, f"/api/sessions/{session_id}/events/stream", headers)
        opened += await connect(replica.port, request)
    await all_begun(opened)
    processes, database = [one.process for one in replicas], await backends(connection)
    before = cpu_seconds(processes), cpu_seconds(database), await _counted(bench, replicas)
    started = time.perf_counter()
    prompt = {"message": f"[[tokens={tokens} rate={RATE} size=8]]"}
    for session_id, replica in zip(ids, driving, strict=True):
        await say(bench, replica, session_id, prompt)
    for one, first in zip(opened, firsts, strict=True):
        await all_at([one], first + tokens + FRAMING_EVENTS)
    counted = {name: value - before[2][name] for name, value in (await _counted(bench, replicas)).items()}
    seconds = time.perf_counter() - started
    replica_cpu, database_cpu = cpu_seconds(processes) - before[0], cpu_seconds(database) - before[1]
    close(opened)
    events = sessions * (tokens + FRAMING_EVENTS)
    written = await written_at(connection, ids)
    latencies = [
        at - written[session_id, seq]
        for session_id, one, first in zip(ids, opened, firsts, strict=True)
        for seq, at in one.arrivals(first, first + tokens + FRAMING_EVENTS).items()
    ]
    name = f"{len(replicas)} replicas" if len(replicas) > 1 else "1 replica"
    return [
        Figure("fleet", f"{name}: events", events / seconds, "events/s"),
        Figure("fleet", f"{name}: events in a commit", counted["events"] / counted["commits"], ""),
        Figure("fleet", f"{name}: append, sent to answered, p50", _median_seconds(counted) * 1000, "ms"),
        Figure("fleet", f"{name}: reads of the log", counted["reads"] / events, "/event"),
        Figure("fleet", f"{name}: CPU of the replicas", replica_cpu / events * 1e6, "µs/event"),
        *([Figure("fleet", f"{name}: CPU of PostgreSQL", database_cpu / events * 1e6, "µs/event")] if database else []),
        *p50_and_p99("fleet", f"{name}: commit to reader", latencies),
    ]


COUNTERS = {
    "commits": re.compile(r"^webedt_event_commit_batch_size_count\{.*\} (\S+)$", re.MULTILINE),
    "events": re.compile(r"^webedt_event_commit_batch_size_sum\{.*\} (\S+)$", re.MULTILINE),
    "reads": re.compile(r"^webedt_log_reads_total\{.*\} (\S+)$", re.MULTILINE),
}
BUCKET = re.compile(r'^webedt_event_commit_seconds_bucket\{.*le="(.+?)".*\} (\S+)$', re.MULTILINE)


async def _counted(bench: Bench, replicas: Sequence[Server]) -> dict[str, float]:
    """The sums over all replicas."""
    totals = dict.fromkeys(COUNTERS, 0.0)
    for one in replicas:
        async with bench.http.get(f"{one.url}/metrics") as answer:
            text = await answer.text()
        for name, pattern in COUNTERS.items():
            totals[name] += sum(map(float, pattern.findall(text)))
        for bound, count in BUCKET.findall(text):
            totals[bound] = totals.get(bound, 0.0) + float(count)
    return totals


def _median_seconds(counted: Mapping[str, float]) -> float:
    """Out of the buckets, each taken to be filled evenly. A stall of the disk, which may be anybody's, counts once."""
    buckets = sorted((float(bound), count) for bound, count in counted.items() if bound not in COUNTERS)
    half, lower, below = buckets[-1][1] / 2, 0.0, 0.0
    for bound, count in buckets:
        if count >= half:
            break
        lower, below = bound, count
    return lower + (bound - lower) * (half - below) / (count - below)
