"""`webedt share`: a link with which anybody can read a session, and nothing else."""

import argparse
import asyncio
from typing import Any

from webedt.cli import ids
from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_json, print_line, terminal
from webedt.cli.times import local_minute
from webedt.client import WebEDTClient

MOST_DAYS = 365


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `share`."""
    parser.add_argument("session", metavar="ID", help=ids.HELP)
    parser.add_argument("--days", type=_days, metavar="N", help="how long the link holds (default: until `unshare`)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the link, alone on stdout. Raises CommandError."""
    url = server_url()
    with explained(url):
        shared = asyncio.run(_share(open_client(url), args.session, args.days))
    if args.json:
        print_json(shared)
        return 0
    print_line(str(shared.get("url")))
    until = local_minute(shared.get("expiresAt"))
    terminal().notice(f"whoever has the link can read the session{f' until {until}' if until else ''}")
    return 0


async def _share(client: WebEDTClient, session_id: str, days: int | None) -> dict[str, Any]:
    async with client:
        return await client.share(await ids.full_id(client, session_id), days=days)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"not a number from 1 to {MOST_DAYS}: {text!r}")
    return int(text)
