"""`webedt run`: a prompt goes out, the answer comes in, whatever happens to the replica in between."""

import argparse
import asyncio
from typing import Any

from webedt.cli import ids
from webedt.cli.connecting import explained, open_client, server_url
from webedt.cli.errors import USAGE, CommandError
from webedt.cli.following import add_following_arguments, follow_to_the_end
from webedt.cli.output import print_run
from webedt.cli.prompts import add_prompt_argument, read_prompt
from webedt.client import EventStream, RunReference, WebEDTClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`."""
    add_prompt_argument(parser)
    parser.add_argument("--session", "--follow-up", metavar="ID", help="continue this session instead of beginning one")
    parser.add_argument("--provider", metavar="NAME", help="who answers (default: `webedt providers` says)")
    parser.add_argument("--model", metavar="NAME", help="with which model")
    parser.add_argument("--github", metavar="URL", help="the repository to work on")
    parser.add_argument("--branch", metavar="NAME", help="and which branch of it")
    parser.add_argument("--detach", action="store_true", help="do not follow the run: print its session and leave")
    add_following_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Send the prompt and print its run to the end. Raises CommandError."""
    if args.branch and not args.github:
        raise CommandError("--branch is a branch of a repository: give --github URL, too", exit_status=USAGE)
    prompt = read_prompt(args.prompt)
    if args.detach:
        url = server_url()
        with explained(url):
            print_run(asyncio.run(_start(open_client(url, patience_seconds=args.retry_for), prompt, args)), args)
        return 0

    async def opening(client: WebEDTClient) -> EventStream:
        return client.execute(prompt, **await _options(client, args))

    return follow_to_the_end(args, opening, show_prompts=False)


async def _start(client: WebEDTClient, prompt: str, args: argparse.Namespace) -> RunReference:
    async with client:
        return await client.start(prompt, **await _options(client, args))


async def _options(client: WebEDTClient, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "session_id": None if args.session is None else await ids.full_id(client, args.session),
        "provider": args.provider,
        "model": args.model,
        "repository_url": args.github,
        "branch": args.branch,
        "on_busy": args.on_busy,
    }
