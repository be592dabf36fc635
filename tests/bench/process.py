"""What a process costs before it does anything."""

import asyncio
import statistics
import sys

from tests.bench.bench import Bench
from tests.bench.figures import Figure, stopwatch
from tests.bench.server import server


async def process(bench: Bench) -> list[Figure]:
    starts, sizes, helps = [], [], []
    for _ in range(bench.runs):
        async with server(await bench.url(), bench.http) as replica:
            starts.append(replica.ready_seconds)
            sizes.append(replica.rss_bytes() / 2**20)
        with stopwatch() as taken:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "webedt", "--help", stdout=asyncio.subprocess.DEVNULL
            )
            assert await child.wait() == 0
        helps.append(taken[0])
    return [
        Figure("process", "`webedt serve` to ready, migrated database", statistics.median(starts), "s", "<= 1.5"),
        Figure("process", "`webedt --help`", statistics.median(helps), "s", "<= 0.3"),
        Figure("process", "memory of an idle replica", statistics.median(sizes), "MiB"),
    ]
