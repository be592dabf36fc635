"""`webedt check`: is the configuration valid, is the database there and current? Says what is wrong."""

import argparse
import asyncio
import os
from collections.abc import Collection, Mapping
from dataclasses import fields

import asyncpg

from webedt.cli.errors import CommandError
from webedt.cli.faults import settings_or_fail
from webedt.config import Settings
from webedt.database.migrations import pending_migrations

OLDEST_SERVER = 150000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verbose", action="store_true", help="show every setting (secrets hidden)")


def run(args: argparse.Namespace) -> int:
    try:
        settings = settings_or_fail(os.environ)
    except CommandError:
        if args.verbose:
            _show(*_readable(os.environ))
        raise
    print("configuration  ok")
    if args.verbose:
        _show(settings)
    faults = asyncio.run(_check(settings))
    for url in {settings.database_url, settings.direct_url} - set(faults):
        print(f"database       ok  {_without_secret(url)}")
    for url, fault in faults.items():
        print(f"database       {fault}  {_without_secret(url)}")
    provider = settings.chosen_provider
    print(f"provider       {provider or 'none: set DEFAULT_PROVIDER or ANTHROPIC_API_KEY'}")
    return 1 if faults else 0


async def _check(settings: Settings) -> dict[str, str]:
    """What is wrong, by URL."""
    faults = {}
    for url in {settings.database_url, settings.direct_url}:
        try:
            # No cached statements: this may be a transaction pooler.
            connection = await asyncpg.connect(url, timeout=5, statement_cache_size=0)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            faults[url] = f"cannot be reached: {str(error) or type(error).__name__}"
            continue
        try:
            version = int(await connection.fetchval("SHOW server_version_num"))
            if version < OLDEST_SERVER:
                faults[url] = f"is PostgreSQL {version // 10000}; 15 is the oldest supported"
            elif pending := await pending_migrations(connection):
                faults[url] = f"lacks {', '.join(item.path.stem for item in pending)}: run `webedt migrate`"
        finally:
            await connection.close(timeout=5)
    return faults


def _readable(environ: Mapping[str, str]) -> tuple[Settings, set[str]]:
    """What can be read of a faulty configuration, and the names of the fields that cannot."""
    values, faulty = {}, set()
    for item in fields(Settings):
        given = (environ.get(variable, "").strip() for variable in item.metadata["variables"])
        if raw := next(filter(None, given), ""):
            try:
                values[item.name] = item.metadata["parse"](raw)
            except ValueError:
                faulty.add(item.name)
    return Settings(**values), faulty


def _show(settings: Settings, faulty: Collection[str] = ()) -> None:
    for item in fields(settings):
        value = getattr(settings, item.name)
        shown = ("(set)" if value else "(not set)") if item.metadata["secret"] else value
        if item.name in faulty:
            shown = "(not valid)"
        print(f"  {item.metadata['variables'][0]:34} {shown}")


def _without_secret(url: str) -> str:
    """Everything behind the last @: host and database, no user, no password."""
    return url.rsplit("@", 1)[-1].split("?")[0].removeprefix("postgresql://").removeprefix("postgres://")
