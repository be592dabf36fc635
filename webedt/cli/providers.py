"""`webedt providers`: who can answer your prompts, and what others lack."""

import argparse
import asyncio
from typing import Any

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_json, print_table
from webedt.client import WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `providers`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object a provider")


def run(args: argparse.Namespace) -> int:
    """Print every provider of the server. Raises CommandError."""
    url = server_url()
    with explained(url):
        found = asyncio.run(_providers(open_client(url)))
    providers = [one for one in found.get("providers") or [] if isinstance(one, dict)]
    if args.json:
        for one in providers:
            print_json(one)
    else:
        print_table(("PROVIDER", "USABLE", "KEY", "MODEL", ""), [_row(one) for one in providers])
    return 0


async def _providers(client: WebEDTClient) -> dict[str, Any]:
    async with client:
        return await client.account.providers()


def _row(one: dict[str, Any]) -> tuple[str, str, str, str, str]:
    key = "yours" if one.get("ownKey") else "server's" if one.get("takesKeys") and one.get("configured") else "-"
    return (
        str(one.get("name") or ""),
        "yes" if one.get("configured") else "no",
        key,
        str(one.get("defaultModel") or "-"),
        str(one.get("reason") or ("answers unless you name another" if one.get("default") else "")),
    )
