"""`webedt serve`: one replica. It never migrates; it waits for a database whose schema is current."""

import argparse
import asyncio
import gc
import os

from webedt.cli.errors import CommandError
from webedt.cli.faults import settings_or_fail

# Open streams are many objects that stay: with the defaults (700, 10, 10) opening thousands of them means looking
# through all of them for garbage, again and again.
GC_THRESHOLDS = (10_000, 20, 20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", help="port to listen on (else PORT, 3001)")


def run(args: argparse.Namespace) -> int:
    given = {} if args.port is None else {"PORT": args.port}
    settings = settings_or_fail({**os.environ, **given})
    from webedt.daemon import CannotListen, serve

    gc.collect()
    gc.freeze()  # modules and classes are no garbage, and need not be looked at again
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        return asyncio.run(serve(settings))
    except CannotListen as error:
        raise CommandError(str(error), exit_status=2) from error
