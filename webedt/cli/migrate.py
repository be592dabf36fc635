"""`webedt migrate`: bring the database up to date, or say how it stands. Safe when several run at once."""

import argparse
import asyncio
import os

import asyncpg

from webedt.cli.errors import CommandError
from webedt.cli.faults import settings_or_fail
from webedt.database.migrations import known_migrations, migrate, pending_migrations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", action="store_true", help="only say what is applied; exit status 1 if some are not")


def run(args: argparse.Namespace) -> int:
    dsn = settings_or_fail(os.environ, secret_required=False).direct_url
    try:
        return asyncio.run(_status(dsn) if args.status else _migrate(dsn))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(f"the database cannot be migrated: {error}") from error


async def _migrate(dsn: str) -> int:
    done = await migrate(dsn)
    print("\n".join(f"applied {name}" for name in done) or "nothing to do: the schema is current")
    return 0


async def _status(dsn: str) -> int:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        pending = await pending_migrations(connection)
    finally:
        await connection.close(timeout=5)
    for migration in known_migrations():
        print(f"{'pending' if migration in pending else 'applied'}  {migration.path.stem}")
    return 1 if pending else 0
