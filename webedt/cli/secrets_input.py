"""Asking for a password or a key: hidden on a terminal, or the first line of standard input. Never an argument, which
every user of the machine can read in the list of processes."""

import getpass
import sys

from webedt.cli.errors import FAILURE, USAGE, CommandError


def read_secret(what: str, prompt: str, *, from_stdin: bool, again: str = "", advice: str = "") -> str:
    """The secret. `again` asks a second time, in case of a slip. Raises CommandError if there is none."""
    if from_stdin:
        secret = sys.stdin.readline().rstrip("\r\n")
    elif not sys.stdin.isatty():
        raise CommandError(f"there is no terminal to ask for the {what}: {advice}", exit_status=USAGE)
    else:
        try:
            secret = getpass.getpass(prompt)
            if again and getpass.getpass(again) != secret:
                raise CommandError(f"the two {what}s differ", exit_status=FAILURE)
        except EOFError:
            secret = ""
    if not secret:
        raise CommandError(f"the {what} is empty", exit_status=USAGE)
    return secret
