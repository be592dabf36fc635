"""`scripts/conformance`: check the wire contract of a deployment from outside, a line a check."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from tests.conformance.catalogue import CHECKS, as_markdown, chosen
from tests.conformance.check import CannotRun, Check
from tests.conformance.deployment import Options
from tests.conformance.running import run_checks

OK, FAILED, CANNOT_RUN = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument(
        "urls", nargs="*", metavar="BASE_URL", help="where it is; several are replicas of one deployment"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a check or a group; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the checks and end")
    parser.add_argument("--markdown", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome there too")
    parser.add_argument("--timeout", type=float, default=90.0, metavar="SECONDS", help="for each check (default: 90)")
    parser.add_argument("--long", action="store_true", help="also what takes long, such as waiting for keep-alives")
    parser.add_argument("--email", default="", help="log in with this account, instead of registering a throw-away one")
    parser.add_argument("--password", default="", help="of that account (default: $CONFORMANCE_PASSWORD)")
    parser.add_argument("--token", default="", help="use this login, and keep it (default: $CONFORMANCE_TOKEN)")
    options = parser.parse_args(arguments)
    try:
        checks = chosen(options.only)
    except KeyError as error:
        parser.error(f"no such check or group: {error.args[0]}")
    if options.markdown:
        print(as_markdown(), end="")
        return OK
    if options.list:
        for check in checks:
            print(f"{check.group}/{check.name}: {check.sentence}")
        print(f"{len(checks)} of {len(CHECKS)} checks")
        return OK
    if not options.urls:
        parser.error("a BASE_URL is needed")
    return asyncio.run(_run(options, checks))


async def _run(options: argparse.Namespace, checks: list[Check]) -> int:
    how = Options(
        email=options.email,
        password=options.password or os.environ.get("CONFORMANCE_PASSWORD", ""),
        token=options.token or ("" if options.email else os.environ.get("CONFORMANCE_TOKEN", "")),
        timeout_seconds=options.timeout,
        long=options.long,
    )
    try:
        result = await run_checks(options.urls, checks, how, lambda line: print(line, flush=True))
    except CannotRun as error:
        print(f"scripts/conformance: {error}", file=sys.stderr)
        return CANNOT_RUN
    print(result.summary())
    if options.json:
        options.json.write_text(result.as_json())
    return FAILED if result.failed else OK


if __name__ == "__main__":
    sys.exit(main())
