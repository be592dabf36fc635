"""`webedt send`: add a prompt to a session and go; the answer can be read with `webedt resume`."""

import argparse
import asyncio

from webedt.cli import ids
from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_run
from webedt.cli.prompts import add_prompt_argument, read_prompt
from webedt.client import RunReference, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `send`."""
    parser.add_argument("session", metavar="ID", help=ids.HELP)
    add_prompt_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Send the prompt; it runs now or in its turn. Raises CommandError."""
    prompt, url = read_prompt(args.prompt), server_url()
    with explained(url):
        print_run(asyncio.run(_send(open_client(url), prompt, args)), args)
    return 0


async def _send(client: WebEDTClient, prompt: str, args: argparse.Namespace) -> RunReference:
    async with client:
        return await client.send(await ids.full_id(client, args.session), prompt, on_busy=args.on_busy)
