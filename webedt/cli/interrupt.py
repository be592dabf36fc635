"""`webedt interrupt`: end the run of a session, whichever replica drives it."""

import argparse
import asyncio

from webedt.cli import ids
from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.errors import REFUSED, CommandError
from webedt.cli.output import print_json, print_line
from webedt.client import Conflict, RunReference, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `interrupt`."""
    parser.add_argument("session", metavar="ID", help=ids.HELP)
    parser.add_argument("--run", metavar="RUNID", help="only this run (default: the one that runs, or is next)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Ask for the end of the run; it ends a moment later. Raises CommandError."""
    url = server_url()
    with explained(url):
        interrupted = asyncio.run(_interrupt(open_client(url), args.session, args.run))
    if args.json:
        print_json({"sessionId": interrupted.session_id, "runId": interrupted.run_id, "status": interrupted.status})
    else:
        print_line(f"Interrupting run {interrupted.run_id} of session {interrupted.session_id}.")
    return 0


async def _interrupt(client: WebEDTClient, session_id: str, run_id: str | None) -> RunReference:
    async with client:
        session_id = await ids.full_id(client, session_id)
        try:
            return await client.interrupt(session_id, run_id)
        except Conflict as error:
            what = f"run {run_id} has ended" if run_id else "nothing is running or queued"
            raise CommandError(
                f"{what} in session {session_id}: there is nothing to interrupt", exit_status=REFUSED
            ) from error
