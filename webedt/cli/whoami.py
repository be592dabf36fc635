"""`webedt whoami`: which server, which account, and how long the login holds."""

import argparse
import asyncio
from typing import Any

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_json, print_line
from webedt.cli.times import local_minute
from webedt.client import WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `whoami`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the login. Raises CommandError."""
    url = server_url()
    with explained(url):
        found = asyncio.run(_current(open_client(url)))
    if args.json:
        print_json({"url": url, **found})
        return 0
    user, session = found.get("user") or {}, found.get("session") or {}
    until = local_minute(session.get("expiresAt"))
    print_line(f"{user.get('email')} on {url}{f', logged in until {until}' if until else ''}")
    return 0


async def _current(client: WebEDTClient) -> dict[str, Any]:
    async with client:
        return await client.account.current()
