"""`webedt resume`: what a session has said, and what it is still saying."""

import argparse

from webedt.cli import ids
from webedt.cli.following import add_following_arguments, follow_to_the_end
from webedt.client import EventStream, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `resume`."""
    parser.add_argument("session", metavar="ID", help=ids.HELP)
    parser.add_argument("--after", type=_event_id, default=0, metavar="N", help="begin after the event with this id")
    add_following_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the session from `--after` until nothing runs in it any more. Raises CommandError."""

    async def opening(client: WebEDTClient) -> EventStream:
        return client.resume(await ids.full_id(client, args.session), args.after)

    return follow_to_the_end(args, opening, show_prompts=True)


def _event_id(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"not an event id: {text!r}")
    return int(text)
