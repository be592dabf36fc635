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
from webedt.cli.errors import INTERRUPTED, MEANINGS, OUTPUT_CLOSED, CommandError, OutputClosed
from webedt.cli.safe_text import printable

COMMANDS = (
    ("dev", "start a development server with everything it needs"),
    ("serve", "start one replica on a configured database"),
    ("migrate", "bring the database schema up to date"),
    ("check", "check configuration and connectivity, and say what is wrong"),
    ("top", "watch a fleet: replicas, runs, streams, latencies"),
    ("login", "log in to a server"),
    ("logout", "end the login"),
    ("whoami", "say which login is used"),
    ("providers", "list who can answer your prompts, and what others lack"),
    ("keys", "store your own API keys, or remove them"),
    ("run", "send a prompt and print the answer as it comes"),
    ("resume", "print a session's events, then follow it to its end"),
    ("send", "add a prompt to a session without waiting for the answer"),
    ("interrupt", "end the run of a session"),
    ("sessions", "list your sessions"),
    ("share", "make a link with which anybody can read a session"),
    ("unshare", "take the links to a session back"),
    ("files", "list, fetch, put and remove the files of a session"),
    ("completion", "print a script that completes commands in your shell"),
)

EPILOG = """environment of the client commands:
  WEBEDT_URL    the server (default http://127.0.0.1:3001)
  WEBEDT_TOKEN  a login to use instead of the stored one
  NO_COLOR      no colours on the terminal

exit status:
""" + "\n".join(f"  {status:<4} {meaning}" for status, meaning in MEANINGS.items())


class Command(Protocol):
    """What a module `webedt.cli.<name>` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit status. May raise CommandError."""


class _OneLineEach(argparse.RawDescriptionHelpFormatter):
    """argparse forgets how far commands are indented, and then breaks the line of every longer one."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(len(name) for name, _ in COMMANDS) + 4


class _PrintVersion(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help=options.get("help"))

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        parser.exit(message=f"webedt {webedt.__version__}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: those of the process) name, and return its exit status.

    Raises SystemExit for `--help`, `--version` and wrong usage, as argparse does.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # No global option takes a value, so the first word that is not an option is the command.
    chosen = next((word for word in given if not word.startswith("-")), "")
    parser = build_parser(chosen)
    args = parser.parse_args(given)
    if "command" not in args:
        parser.error("which command?")
    try:
        status: int = args.command.run(args)
        _flush_output()
        return status
    except CommandError as error:
        print(f"webedt: {printable(str(error))}", file=sys.stderr)  # servers have a say in it
        return error.exit_status
    except (OutputClosed, BrokenPipeError):
        # Otherwise the interpreter tries to flush once more on its way out, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser that knows all commands, and the arguments of `chosen` (None: of all, which imports everything)."""
    parser = argparse.ArgumentParser(
        prog="webedt",
        description="A backend on which AI coding sessions run.",
        epilog=EPILOG,
        formatter_class=_OneLineEach,
    )
    parser.add_argument("--version", action=_PrintVersion, help="print the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, help_text in COMMANDS:
        subparser = subparsers.add_parser(name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}.")
        if chosen in (None, name):
            command = cast(Command, importlib.import_module(f"webedt.cli.{name}"))
            command.add_arguments(subparser)
            subparser.set_defaults(command=command)
    return parser


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error
