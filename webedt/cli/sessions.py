"""`webedt sessions`: your sessions as a table, newest first."""

import argparse
import asyncio
from typing import Any

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.ids import SHORT_LENGTH
from webedt.cli.output import print_json, print_table, terminal
from webedt.cli.times import age
from webedt.client import SessionPage, WebEDTClient

STATUSES = ("pending", "running", "completed", "failed", "interrupted")
PAGE_SIZE = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sessions`."""
    parser.add_argument("--status", choices=STATUSES, help="only those in this state (pending: waiting in the queue)")
    parser.add_argument("--q", metavar="TEXT", help="only those with this text in their title")
    parser.add_argument("--limit", type=_count, default=PAGE_SIZE, metavar="N", help="at most so many (default: 50)")
    parser.add_argument("--cursor", metavar="CURSOR", help="go on where an earlier list ended; it names the cursor")
    parser.add_argument("--json", action="store_true", help="print one JSON object a session")


def run(args: argparse.Namespace) -> int:
    """Print the sessions. Raises CommandError."""
    url = server_url()
    with explained(url):
        found = asyncio.run(_newest(open_client(url), args))
    if args.json:
        for session in found.sessions:
            print_json(session)
    elif found.sessions:
        _print_table(found.sessions)
    else:
        what = "no such session" if args.status or args.q or args.cursor else "no sessions"
        terminal().notice(f'{what}; `webedt run "what to do"` begins one')
    if found.next_cursor is not None:
        more = f"--limit {2 * args.limit}" if terminal().seen else f"--cursor {found.next_cursor}"
        terminal().notice(f"there are more: {more}")
    return 0


async def _newest(client: WebEDTClient, args: argparse.Namespace) -> SessionPage:
    sessions: list[dict[str, Any]] = []
    cursor: str | None = args.cursor
    async with client:
        while True:
            size = min(PAGE_SIZE, args.limit - len(sessions))
            page = await client.sessions(status=args.status, text=args.q, limit=size, cursor=cursor)
            sessions += page.sessions
            cursor = page.next_cursor
            if cursor is None or not page.sessions or len(sessions) >= args.limit:
                return SessionPage(sessions, cursor)


def _print_table(sessions: list[dict[str, Any]]) -> None:
    length = _id_length(sessions) if terminal().seen else None
    rows = [
        (
            str(session.get("id"))[:length],
            str(session.get("status") or ""),
            age(session.get("updatedAt")),
            str(session.get("provider") or ""),
            str(session.get("title") or ""),
        )
        for session in sessions
    ]
    print_table(("ID", "STATUS", "AGE", "PROVIDER", "TITLE"), rows)


def _id_length(sessions: list[dict[str, Any]]) -> int:
    """A person gets as much of the ids as tells these apart; a pipe gets them whole."""
    whole = {str(session.get("id")) for session in sessions}
    length = SHORT_LENGTH
    while len({one[:length] for one in whole}) < len(whole):
        length += 1
    return length


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a number from 1 on: {text!r}")
    return int(text)
