"""`scripts/bench [--short] [--write]`: run the workloads, print a table, end with 1 if a target was missed."""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import asyncpg

from tests.bench.providers import providers
from tests.bench.server import database, postgres, server
from tests.bench.workloads import Figure, fan_out, idle, ingest, replay

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


async def measure(server_url: str, only: Sequence[str], *, short: bool) -> tuple[list[Figure], str]:
    factor = 10 if short else 1
    figures: list[Figure] = []
    async with database(server_url) as url:
        connection = await asyncpg.connect(url)
        version = str(await connection.fetchval("SHOW server_version"))
        await connection.close()
        if "ingest" in only:
            figures += await ingest(url, 200_000 // factor, sessions=50)
        if "providers" in only:
            figures += await providers(url, short=short)
    # A database of its own: the replica would take over the runs that the first workload left.
    async with database(server_url) as url, aiohttp.ClientSession() as http:
        async with server(url, http) as replica:
            if "replay" in only:
                figures += await replay(url, replica, http, 100_000 // factor)
            if "fan-out" in only:
                figures += await fan_out(replica, http, 1000 // factor, events=60, rate=20)
            if "idle" in only:
                figures += await idle(replica, http, 4000 // factor)
    return figures, version


def table(figures: Sequence[Figure]) -> str:
    lines = ["| workload | what | measured | target |", "| --- | --- | ---: | --- |"]
    for one in figures:
        mark = {None: "", True: "reached", False: "MISSED"}[one.reached]
        value = f"{one.value:,.0f}" if one.value >= 100 else f"{one.value:.1f}"
        lines.append(f"| {one.workload} | {one.name} | {value} {one.unit} | {f'{one.target} {mark}'.strip()} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    names = ("ingest", "providers", "replay", "fan-out", "idle")
    parser.add_argument("only", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names)}; all if none is named")
    parser.add_argument("--short", action="store_true", help="a tenth of the size: to see that it works, not how fast")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    args = parser.parse_args()
    if unknown := set(args.only) - set(names):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    with postgres() as url:
        figures, version = asyncio.run(measure(url, args.only or names, short=args.short))
    text = table(figures)
    print(text)
    if args.write:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL {version}"
        marker = "<!-- figures -->"
        head = DOCUMENT.read_text().split(marker)[0]
        DOCUMENT.write_text(f"{head}{marker}\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}:\n\n{text}\n")
    return 1 if not args.short and any(one.reached is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
