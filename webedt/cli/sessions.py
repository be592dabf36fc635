"""`webedt sessions`: the newest sessions as a table."""

import argparse
import asyncio
import json
import os
import shutil
from datetime import datetime
from typing import Any

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.terminal import Terminal, printable, standard_terminal
from webedt.client import WebEDTClient

STATUSES = ("pending", "running", "completed", "failed", "interrupted")
PAGE_SIZE = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sessions`."""
    parser.add_argument("--status", choices=STATUSES, help="only those in this state (pending: waiting in the queue)")
    parser.add_argument("--limit", type=_count, default=PAGE_SIZE, metavar="N", help="at most so many (default: 50)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a session")


def run(args: argparse.Namespace) -> int:
    """Print the sessions, newest first. Raises CommandError."""
    url = server_url()
    terminal = standard_terminal(os.environ)
    with explained(url):
        sessions = asyncio.run(_newest(open_client(url), args.status, args.limit))
    if args.json:
        for session in sessions:
            terminal.text(json.dumps(session, ensure_ascii=False) + "\n")
    elif sessions:
        _print_table(terminal, sessions)
    else:
        terminal.notice('no sessions; `webedt run "what to do"` begins one')
    return 0


async def _newest(client: WebEDTClient, status: str | None, limit: int) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = []
    cursor: str | None = None
    async with client:
        while len(sessions) < limit:
            page = await client.sessions(status=status, limit=min(PAGE_SIZE, limit - len(sessions)), cursor=cursor)
            sessions += page.sessions
            cursor = page.next_cursor
            if cursor is None or not page.sessions:
                break
    return sessions


def _print_table(terminal: Terminal, sessions: list[dict[str, Any]]) -> None:
    rows = [("ID", "STATUS", "UPDATED", "PROVIDER", "TITLE"), *map(_row, sessions)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    # A pipe gets the titles whole; a person gets one line a session.
    line_width = shutil.get_terminal_size().columns if terminal.interactive else None
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        terminal.text("  ".join([*cells, row[4]])[:line_width].rstrip() + "\n")


def _row(session: dict[str, Any]) -> tuple[str, str, str, str, str]:
    return (
        _cell(session.get("id")),
        _cell(session.get("status")),
        _local_minute(session.get("updatedAt")),
        _cell(session.get("provider")),
        _cell(session.get("title")),
    )


def _cell(value: Any) -> str:
    return " ".join(printable(str(value or "")).split())


def _local_minute(value: Any) -> str:
    try:
        return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a number from 1 on: {text!r}")
    return int(text)
