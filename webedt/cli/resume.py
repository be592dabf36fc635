"""`webedt resume`: what a session has said, and what it is still saying."""

import argparse
import asyncio
import os

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.errors import INTERRUPTED
from webedt.cli.printing import JsonPrinter, Printer, TextPrinter, follow
from webedt.cli.terminal import standard_terminal
from webedt.client import EventStream, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `resume`."""
    parser.add_argument("session", metavar="ID", help="a session, as `webedt sessions` lists them")
    parser.add_argument("--after", type=_event_id, default=0, metavar="N", help="begin after the event with this id")
    parser.add_argument("--json", action="store_true", help="print one JSON object an event")
    parser.add_argument(
        "--retry-for",
        type=float,
        metavar="SECONDS",
        help="how long to endure a server that cannot be reached (default: 15, or 300 once it has answered)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the session from `--after` until nothing runs in it any more. Raises CommandError."""
    url = server_url()
    terminal = standard_terminal(os.environ)
    client = open_client(url, patience_seconds=args.retry_for)
    stream = client.resume(args.session, args.after)
    printer = JsonPrinter(terminal, stream) if args.json else TextPrinter(terminal, show_prompts=True)
    try:
        with explained(url):
            asyncio.run(_follow_to_the_end(client, stream, printer))
    except KeyboardInterrupt:
        printer.leave(args.session)
        return INTERRUPTED
    finally:
        terminal.close()
    return printer.exit_status()


async def _follow_to_the_end(client: WebEDTClient, stream: EventStream, printer: Printer) -> None:
    stream.on_retry = printer.on_retry
    async with client:
        printer.terminal.status("connecting")
        await follow(stream, printer)
        printer.finish(stream.session_id or "")


def _event_id(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"not an event id: {text!r}")
    return int(text)
