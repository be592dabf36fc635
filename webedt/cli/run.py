"""`webedt run`: a prompt goes out, the answer comes in, whatever happens to the replica in between."""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress

from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.errors import INTERRUPTED, USAGE, CommandError
from webedt.cli.printing import JsonPrinter, Printer, TextPrinter, follow
from webedt.cli.terminal import standard_terminal
from webedt.client import Conflict, EventStream, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.add_argument("prompt", metavar="PROMPT", help="the prompt, or - to read it from standard input")
    parser.add_argument("--session", metavar="ID", help="continue this session instead of beginning one")
    parser.add_argument("--provider", metavar="NAME", help="who answers (default: as the server is configured)")
    parser.add_argument("--model", metavar="NAME", help="with which model")
    parser.add_argument(
        "--on-busy", choices=("queue", "interrupt", "reject"), help="what to do while the session runs (default: queue)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object an event")
    parser.add_argument(
        "--retry-for",
        type=float,
        metavar="SECONDS",
        help="how long to endure a server that cannot be reached (default: 15, or 300 once the run was accepted)",
    )


def run(args: argparse.Namespace) -> int:
    """Send the prompt and print its run to the end. Raises CommandError."""
    prompt = sys.stdin.read() if args.prompt == "-" else args.prompt
    if not prompt.strip():
        raise CommandError('the prompt is empty: webedt run "what to do"', exit_status=USAGE)
    url = server_url()
    terminal = standard_terminal(os.environ)
    client = open_client(url, patience_seconds=args.retry_for)
    stream = client.execute(
        prompt, session_id=args.session, provider=args.provider, model=args.model, on_busy=args.on_busy
    )
    printer = JsonPrinter(terminal, stream) if args.json else TextPrinter(terminal)
    try:
        with explained(url):
            asyncio.run(_follow_to_the_end(client, stream, printer))
    except (KeyboardInterrupt, asyncio.CancelledError):
        printer.leave(stream.session_id)
        return INTERRUPTED
    finally:
        terminal.close()
    return printer.exit_status()


async def _follow_to_the_end(client: WebEDTClient, stream: EventStream, printer: Printer) -> None:
    stream.on_retry = printer.on_retry
    _listen_for_control_c(stream, printer)
    async with client:
        printer.terminal.status("connecting")
        try:
            await follow(stream, printer)
        except asyncio.CancelledError:
            # The first Ctrl-C arrives as a cancellation. It is meant for the run.
            if stream.session_id is None or stream.run_id is None:
                raise
            _take_back_cancellation()
            printer.terminal.notice("interrupting the run (Ctrl-C again: leave, and let it run)")
            await _interrupt(client, stream.session_id, stream.run_id)
            await follow(stream, printer)
            printer.terminal.notice(f"`webedt resume {stream.session_id}` shows the session again")
        except Conflict as error:
            raise CommandError(f"{str(error).rstrip('.')}: wait, or use --on-busy queue or interrupt") from error
        printer.finish(stream.session_id or "")


def _listen_for_control_c(stream: EventStream, printer: Printer) -> None:
    """The first Ctrl-C cancels the task, the second one leaves the process at once.

    By itself asyncio makes an exception of the second one, wherever in the event loop it strikes.
    """
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def leave() -> None:
        printer.leave(stream.session_id)
        printer.terminal.close()
        sys.stdout.flush()
        os._exit(INTERRUPTED)

    def cancel() -> None:
        loop.add_signal_handler(signal.SIGINT, leave)
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGINT, cancel)


def _take_back_cancellation() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


async def _interrupt(client: WebEDTClient, session_id: str, run_id: str) -> None:
    # A conflict says that the run has ended by itself.
    with suppress(Conflict):
        await client.interrupt(session_id, run_id)
