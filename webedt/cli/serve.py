"""`webedt serve`: one replica. It never migrates; it waits for a database whose schema is current."""

import argparse
import asyncio
import os
from dataclasses import replace

from webedt.cli.errors import CommandError
from webedt.cli.faults import settings_or_fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="port to listen on (else PORT, 3001)")


def run(args: argparse.Namespace) -> int:
    settings = settings_or_fail(os.environ)
    if args.port is not None:
        settings = replace(settings, port=args.port)
    from webedt.daemon import PortTaken, serve

    try:
        return asyncio.run(serve(settings))
    except PortTaken as error:
        raise CommandError(str(error), exit_status=2) from error
