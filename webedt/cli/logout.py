"""`webedt logout`: the token ends on the server, and is forgotten here."""

import argparse
import asyncio
import os
import sys

from webedt.cli.connecting import explained, open_client, server_url, stored_logins
from webedt.cli.output import print_line
from webedt.client import Unauthenticated, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `logout`."""
    parser.add_argument("--everywhere", action="store_true", help="end your logins on all devices")


def run(args: argparse.Namespace) -> int:
    """Log out. A login that has ended already is only forgotten. Raises CommandError, and keeps the token then."""
    url = server_url()
    with explained(url):
        asyncio.run(_log_out(open_client(url), everywhere=args.everywhere))
    if os.environ.get("WEBEDT_TOKEN", "").strip():
        print("webedt: warning: WEBEDT_TOKEN is still set, and is worth nothing now", file=sys.stderr)
    if args.everywhere or not os.environ.get("WEBEDT_TOKEN", "").strip():
        stored_logins().forget(url)
    print_line(f"Logged out of {url}{' on all devices' if args.everywhere else ''}.")
    return 0


async def _log_out(client: WebEDTClient, *, everywhere: bool) -> None:
    async with client:
        try:
            await client.account.logout(everywhere=everywhere)
        except Unauthenticated:
            if everywhere:
                raise  # Other devices may be logged in still, and this login cannot end theirs.
