"""`webedt unshare`: the links to a session end, and whoever reads through one is cut off."""

import argparse
import asyncio

from webedt.cli import ids
from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_line
from webedt.client import WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `unshare`."""
    parser.add_argument("session", metavar="ID", help=ids.HELP)


def run(args: argparse.Namespace) -> int:
    """Take the links back. Raises CommandError."""
    url = server_url()
    with explained(url):
        session_id = asyncio.run(_unshare(open_client(url), args.session))
    print_line(f"Session {session_id} is not shared any more.")
    return 0


async def _unshare(client: WebEDTClient, given: str) -> str:
    async with client:
        session_id = await ids.full_id(client, given)
        await client.unshare(session_id)
        return session_id
