"""`scripts/chaos`: break things and print what it did to readers, a line a scenario. Fails if anything was wrong."""

import argparse
import asyncio
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.chaos.lab import Lab, Report
from tests.chaos.scenarios import BALANCED, NOT_SHORT, SCENARIOS, run_scenario
from tests.support.suite import FAST_SETTINGS, Suite, new_suite
from webedt.database.embedded import EmbeddedPostgres


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"scenarios: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--short", action="store_true", help="each in its short form")
    parser.add_argument(
        "--balanced", action="store_true", help="readers and callers know only HAProxy, in front of all"
    )
    parser.add_argument("--times", type=int, help="how often to break things (default: as the scenario says)")
    parser.add_argument("--seed", type=int, default=1, help="of what is random (default: 1)")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the replicas log, in here")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    if options.balanced and (senseless := set(options.names) - set(BALANCED)):
        parser.error(f"not behind a balancer, where nobody chooses a replica: {', '.join(sorted(senseless))}")
    all_names = BALANCED if options.balanced else tuple(SCENARIOS)
    names = options.names or [name for name in all_names if not (options.short and name in NOT_SHORT)]
    with new_suite() as suite:
        good = [_run(suite, name, options) for name in names]  # all of them, also after a bad one
    return int(not all(good))


def _run(suite: Suite, name: str, options: argparse.Namespace) -> bool:
    began = time.monotonic()
    logs: Path | None = options.logs and options.logs / name
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
    try:
        report = asyncio.run(_scenario(suite, name, options, logs))
    except Exception:
        print(f"{name}: BROKEN OFF", flush=True)
        traceback.print_exc()
        return False
    print(f"{report.line()} [{time.monotonic() - began:.0f} s, seed {options.seed}]", flush=True)
    for fault, times in Counter(report.faults).most_common(20):
        print(f"    {fault}{f' ({times} times)' if times > 1 else ''}", flush=True)
    return not report.faults


async def _scenario(suite: Suite, name: str, options: argparse.Namespace, logs: Path | None) -> Report:
    server = await asyncio.to_thread(suite.server)
    own = EmbeddedPostgres(suite.folder / f"own-{name}", settings=FAST_SETTINGS)
    try:
        async with server.database(f"chaos_{name}", template=server.template) as url:
            return await run_scenario(
                name, Lab(url, own, options.short, options.times, options.seed, logs, options.balanced)
            )
    finally:
        await asyncio.to_thread(own.delete)


if __name__ == "__main__":
    sys.exit(main())
