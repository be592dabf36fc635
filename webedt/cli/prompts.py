"""Prompts on the command line: given as an argument, or read from a pipe."""

import argparse
import sys

from webedt.cli.errors import USAGE, CommandError

ON_BUSY = ("queue", "interrupt", "reject")


def add_prompt_argument(parser: argparse.ArgumentParser) -> None:
    """Declare PROMPT, and what to do on a busy session."""
    parser.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help="the prompt; - or nothing: read it from standard input"
    )
    parser.add_argument("--on-busy", choices=ON_BUSY, help="what to do while the session runs (default: queue)")


def read_prompt(given: str | None) -> str:
    """The prompt. Raises CommandError if there is none."""
    if given is None and sys.stdin.isatty():
        raise CommandError('which prompt? webedt run "what to do", or a pipe into it', exit_status=USAGE)
    # What is no UTF-8 would be refused by the server, and nobody would know which character it was.
    prompt = sys.stdin.buffer.read().decode(errors="replace") if given in (None, "-") else str(given)
    if not prompt.strip():
        raise CommandError('the prompt is empty: webedt run "what to do"', exit_status=USAGE)
    return prompt
