"""The entry point: which subcommands there are, and how their endings become exit statuses.

A subcommand's module is imported only when it was chosen, so that `webedt --help` loads neither server nor client.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol, cast

import webedt
from webedt.cli.errors import FAILURE, INTERRUPTED, CommandError, OutputClosed

COMMANDS = (
    ("dev", "start a development server with everything it needs"),
    ("serve", "start one replica on a configured database"),
    ("migrate", "bring the database schema up to date"),
    ("check", "check configuration and connectivity, and say what is wrong"),
    ("login", "log in to a server"),
    ("run", "send a prompt and print the answer as it comes"),
    ("resume", "print a session's events, then follow it to its end"),
    ("sessions", "list your sessions"),
    ("interrupt", "end the run of a session"),
)

EPILOG = """environment of the client commands:
  WEBEDT_URL    the server (default http://127.0.0.1:3001)
  WEBEDT_TOKEN  a login to use instead of the stored one
  NO_COLOR      no colours on the terminal

exit status: 0 completed, 1 failed, 2 wrong usage, 130 interrupted"""


class Command(Protocol):
    """What a module `webedt.cli.<name>` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit status. May raise CommandError."""


class _PrintVersion(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        parser.exit(message=f"webedt {webedt.__version__}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: those of the process) name, and return its exit status.

    Raises SystemExit for `--help`, `--version` and wrong usage, as argparse does.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser, command = _prepare(given)
    args = parser.parse_args(given)
    if command is None:
        parser.error("which command?")
    try:
        status = command.run(args)
        _flush_output()
        return status
    except CommandError as error:
        print(f"webedt: {error}", file=sys.stderr)
        return error.exit_status
    except OutputClosed:
        # Otherwise the interpreter tries to flush once more on its way out, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _prepare(given: Sequence[str]) -> tuple[argparse.ArgumentParser, Command | None]:
    # No global option takes a value, so the first word that is not an option is the command.
    chosen = next((word for word in given if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="webedt",
        description="A backend on which AI coding sessions run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_PrintVersion, help="print the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    command: Command | None = None
    for name, help_text in COMMANDS:
        subparser = subparsers.add_parser(name, help=help_text, description=f"{help_text.capitalize()}.")
        if name == chosen:
            command = cast(Command, importlib.import_module(f"webedt.cli.{name}"))
            command.add_arguments(subparser)
    return parser, command


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error
