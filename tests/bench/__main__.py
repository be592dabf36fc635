"""`scripts/bench [--short] [--write]`: run the workloads, print a table, end with 1 if a target was missed."""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from tests.bench.catalogue import WORKLOADS, measure
from tests.bench.figures import Figure, table, write_into
from tests.bench.server import postgres

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


async def run(server_url: str, only: Sequence[str], *, short: bool) -> tuple[list[Figure], str]:
    connection = await asyncpg.connect(server_url)
    version = str(await connection.fetchval("SHOW server_version"))
    await connection.close()
    return await measure(server_url, only, sizes=10 if short else 1), version


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all if none is named")
    parser.add_argument("--short", action="store_true", help="a tenth of the size: to see that it works, not how fast")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    args = parser.parse_args()
    if unknown := set(args.only) - set(WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    if args.short and args.write:
        parser.error("figures of the short form are not for the document")
    with postgres() as url:
        figures, version = asyncio.run(run(url, args.only or list(WORKLOADS), short=args.short))
    print(table(figures))
    if args.write:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL {version}"
        write_into(DOCUMENT, figures, list(WORKLOADS), f"{datetime.now(UTC):%Y-%m-%d}, {machine}:")
    return 1 if not args.short and any(one.reached is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
