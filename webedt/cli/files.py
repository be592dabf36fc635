"""`webedt files`: the files of a session, listed, fetched, put there and removed."""

import argparse
import asyncio
from typing import Any

from webedt.cli import ids
from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.output import print_json, print_line, print_table, terminal
from webedt.cli.times import local_minute
from webedt.cli.transfers import Destination, Source, download, readable_size, upload
from webedt.client import WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands of `files`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    show = actions.add_parser("ls", help="list the files")
    show.add_argument("session", metavar="ID", help=ids.HELP)
    show.add_argument("--json", action="store_true", help="print one JSON object a file")
    get = actions.add_parser("get", help="fetch a file")
    get.add_argument("session", metavar="ID", help=ids.HELP)
    get.add_argument("path", metavar="PATH", help="its path in the session")
    get.add_argument("--output", "-o", metavar="FILE", help="where to (default: its name, here; -: standard output)")
    get.add_argument("--force", action="store_true", help="replace a file that is there")
    put = actions.add_parser("put", help="put a file there, in place of what was there")
    put.add_argument("session", metavar="ID", help=ids.HELP)
    put.add_argument("file", metavar="FILE", help="the file here; - is standard input")
    put.add_argument("path", metavar="PATH", nargs="?", help="its path in the session (default: its name)")
    drop = actions.add_parser("rm", help="remove files")
    drop.add_argument("session", metavar="ID", help=ids.HELP)
    drop.add_argument("paths", metavar="PATH", nargs="+", help="their paths in the session")


def run(args: argparse.Namespace) -> int:
    """Do what `action` says. Raises CommandError."""
    url = server_url()
    client = open_client(url)
    match args.action:
        case "ls":
            with explained(url):
                found = asyncio.run(_list(client, args.session))
            _print_list(found, as_json=args.json)
        case "get":
            with Destination(args.output or _name_of(args.path), force=args.force) as destination, explained(url):
                size = asyncio.run(download(client, args.session, args.path, destination))
            if not destination.is_output:
                print_line(f"{destination.name}: {readable_size(size)}")
        case "put":
            with Source(args.file) as source, explained(url):
                path = args.path or source.default_path
                size = asyncio.run(upload(client, args.session, path, source))
            print_line(f"{path}: {readable_size(size)}")
        case _:
            with explained(url):
                asyncio.run(_remove(client, args.session, args.paths))
    return 0


def _name_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


async def _list(client: WebEDTClient, given: str) -> dict[str, Any]:
    async with client:
        return await client.files.list(await ids.full_id(client, given))


async def _remove(client: WebEDTClient, given: str, paths: list[str]) -> None:
    async with client:
        session_id = await ids.full_id(client, given)
        for path in paths:
            await client.files.remove(session_id, path)


def _print_list(found: dict[str, Any], *, as_json: bool) -> None:
    files = [one for one in found.get("files") or [] if isinstance(one, dict)]
    if as_json:
        for one in files:
            print_json(one)
        return
    rows = [
        (readable_size(one.get("size")), local_minute(one.get("modifiedAt")), str(one.get("path"))) for one in files
    ]
    print_table(("SIZE", "MODIFIED", "PATH"), rows)
    used, quota = readable_size(found.get("usedBytes")), readable_size(found.get("quotaBytes"))
    terminal().aside_line(f"{used} of {quota} used")
