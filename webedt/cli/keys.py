"""`webedt keys`: your own API keys, which the server keeps encrypted and never gives out."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_json, print_line, print_table
from webedt.cli.secrets_input import read_secret
from webedt.cli.times import local_minute
from webedt.client import WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands of `keys`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    keep = actions.add_parser("set", help="store a key, in place of an earlier one")
    keep.add_argument("provider", metavar="PROVIDER", help="anthropic, claude or openai")
    keep.add_argument("--stdin", action="store_true", help="read the key from standard input, also on a terminal")
    show = actions.add_parser("list", help="say for whom there is a key")
    show.add_argument("--json", action="store_true", help="print one JSON object a provider")
    drop = actions.add_parser("remove", help="forget a key")
    drop.add_argument("provider", metavar="PROVIDER", help="anthropic, claude or openai")


def run(args: argparse.Namespace) -> int:
    """Do what `action` says. Raises CommandError."""
    if args.action == "set":
        from_stdin = args.stdin or not sys.stdin.isatty()
        key = read_secret("key", f"API key for {args.provider}: ", from_stdin=from_stdin).strip()
        _call(lambda client: client.account.store_key(args.provider, key))
        print_line(f"Your key for {args.provider} is stored.")
    elif args.action == "remove":
        _call(lambda client: client.account.remove_key(args.provider))
        print_line(f"There is no key of yours for {args.provider} any more.")
    else:
        _list(as_json=args.json)
    return 0


def _list(*, as_json: bool) -> None:
    keys = _call(lambda client: client.account.keys())
    if as_json:
        for key in keys:
            print_json(key)
    else:
        rows = [
            (str(key.get("provider")), "stored" if key.get("configured") else "-", local_minute(key.get("updatedAt")))
            for key in keys
        ]
        print_table(("PROVIDER", "KEY", "SINCE"), rows)


def _call(operation: Callable[[WebEDTClient], Awaitable[Any]]) -> Any:
    url = server_url()

    async def call() -> Any:
        async with open_client(url) as client:
            return await operation(client)

    with explained(url):
        return asyncio.run(call())
