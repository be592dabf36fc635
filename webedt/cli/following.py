"""Following a run or a session to its end, whatever the network, the server and the person do meanwhile."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.control_c import ControlC, Left
from webedt.cli.printing import JsonPrinter, Printer, follow
from webedt.cli.terminal import standard_terminal
from webedt.cli.text_printing import TextPrinter
from webedt.client import Conflict, EventStream, WebEDTClient

Opening = Callable[[WebEDTClient], Awaitable[EventStream]]


def add_following_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that `run` and `resume` share."""
    parser.add_argument("--json", action="store_true", help="print one JSON object an event, and nothing else")
    parser.add_argument("--thinking", action="store_true", help="show what the model thinks in full, on a terminal")
    parser.add_argument(
        "--on-interrupt",
        choices=("ask", "interrupt", "detach"),
        default="ask",
        help="what Ctrl-C means: ask (the default; detach where nobody can be asked), end the run, or leave it running",
    )
    parser.add_argument(
        "--retry-for",
        type=float,
        metavar="SECONDS",
        help="how long to endure a server that cannot be reached (default: 15, or 300 once it has answered)",
    )


def follow_to_the_end(args: argparse.Namespace, opening: Opening, *, show_prompts: bool) -> int:
    """Print the events of the stream that `opening` gives, and return the exit status. Raises CommandError."""
    url = server_url()
    client = open_client(url, patience_seconds=args.retry_for)
    try:
        with explained(url):
            return asyncio.run(_follow(client, opening, args, show_prompts=show_prompts))
    except Left as left:
        return left.exit_status


async def _follow(client: WebEDTClient, opening: Opening, args: argparse.Namespace, *, show_prompts: bool) -> int:
    terminal = standard_terminal(os.environ)
    async with client:
        stream = await opening(client)
        printer: Printer
        if args.json:
            printer = JsonPrinter(terminal, stream)
        else:
            printer = TextPrinter(terminal, show_prompts=show_prompts, show_thinking=args.thinking)
            terminal.show(printer.progress)
        stream.on_retry = printer.on_retry
        try:
            with ControlC(stream, printer, args.on_interrupt) as control:
                await _read_through(client, stream, printer, control)
            printer.finish(stream.session_id or "")
        finally:
            terminal.close()
    return printer.exit_status()


async def _read_through(client: WebEDTClient, stream: EventStream, printer: Printer, control: ControlC) -> None:
    while control.left is None:
        try:
            if control.interrupt_wanted:
                await _interrupt(client, control, printer)
            # Then to the end as if nothing had been: an interrupted run has an end, too.
            await follow(stream, printer)
            return
        except asyncio.CancelledError:
            if not control.decided:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
    # Not only behind a cancellation: a wait that ends in the same moment swallows it (`wait_for`, before Python 3.12).
    printer.leave(stream.session_id)
    raise control.left


async def _interrupt(client: WebEDTClient, control: ControlC, printer: Printer) -> None:
    control.interrupt_wanted = False
    if control.run is None or control.left is not None:
        return
    printer.progress.doing = "interrupting"
    if not printer.terminal.showing:
        printer.terminal.notice("interrupting the run (Ctrl-C again: leave, and let it end by itself)")
    # A conflict says that the run has ended by itself.
    with suppress(Conflict):
        await client.interrupt(*control.run)
