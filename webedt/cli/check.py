"""`webedt check`: is the configuration valid, is the database there and current, can files be kept and traces sent, who
can answer? Says what is wrong.
"""

import argparse
import asyncio
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import aiohttp
import asyncpg

from webedt.cli.errors import CommandError
from webedt.cli.faults import settings_or_fail
from webedt.composition import compose_providers, compose_sealer
from webedt.config import Settings
from webedt.database.migrations import pending_migrations
from webedt.database.sql import load_queries
from webedt.providers.claude_client import ClaudeWebClient
from webedt.services.login_tokens import LoginTokens
from webedt.services.provider_choice import reason_against
from webedt.storage.object_store import ObstoreFileStore
from webedt.storage.opening import storage_directory

OLDEST_SERVER = 150000
STORE_SECONDS = 20.0
COLLECTOR_SECONDS = 5.0


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
    faults, counts = asyncio.run(_check(settings))
    for url in {settings.database_url, settings.direct_url} - set(faults):
        print(f"database       ok  {_without_secret(url)}")
    for url, fault in faults.items():
        print(f"database       {fault}  {_without_secret(url)}")
    no_files = asyncio.run(_check_files(settings))
    print(f"files          {no_files or 'ok'}  {settings.storage_location}{_if_not_shared(settings)}")
    unreached = asyncio.run(_reach_redis(settings.redis_url)) if settings.redis_url else ""
    if settings.redis_url:
        print(f"redis          {unreached or 'ok'}  {_without_secret(settings.redis_url)}")
    untraced = asyncio.run(_reach_collector(settings)) if settings.traces_endpoint else ""
    if settings.traces_endpoint:
        print(f"traces         {untraced or 'ok'}  {settings.traces_endpoint}")
    for line in (*_providers(settings), *_stored_keys(settings, counts.sealed), *_logins(settings, counts.logins)):
        print(line)
    return 1 if faults or no_files or unreached or untraced else 0


@dataclass
class Counts:
    """How many stored API keys each encryption key has sealed, and under which secret how many logins are stored."""

    sealed: dict[bytes, int] = field(default_factory=dict)
    logins: dict[bytes | None, int] = field(default_factory=dict)


async def _check(settings: Settings) -> tuple[dict[str, str], Counts]:
    """What is wrong, by URL, and what still needs which key."""
    faults = {}
    counts = Counts()
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
            else:
                counts = await _count(connection)
        finally:
            await connection.close(timeout=5)
    return faults, counts


async def _check_files(settings: Settings) -> str | None:
    store = ObstoreFileStore(settings, store_seconds=STORE_SECONDS)
    try:
        return await store.probe()
    finally:
        await store.dispose()


def _if_not_shared(settings: Settings) -> str:
    directory = storage_directory(settings) is not None
    return "  (a directory, which all replicas must share)" if directory and settings.production else ""


async def _reach_redis(url: str) -> str:
    """What is wrong with it, if anything."""
    from webedt.bus.redis_link import reach

    try:
        await reach(url)
    except Exception as error:  # an OSError, a timeout, or one of many that redis-py has
        return f"cannot be used: {str(error) or type(error).__name__}"
    return ""


async def _count(connection: Any) -> Counts:
    sealed = await connection.fetch(load_queries("credentials")["count_credentials_by_key"])
    logins = await connection.fetch(load_queries("users")["count_logins_by_secret"])
    return Counts(dict(map(tuple, sealed)), dict(map(tuple, logins)))


async def _reach_collector(settings: Settings) -> str:
    """What is wrong with it, if anything: an export of nothing is a proper one, and an empty message."""
    headers = {**dict(settings.otel_exporter_otlp_headers), "Content-Type": "application/x-protobuf"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=COLLECTOR_SECONDS)) as http,
            http.post(settings.traces_endpoint, data=b"", headers=headers) as answer,
        ):
            return "" if answer.status < 300 else f"are refused: {answer.status} {answer.reason}"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"cannot be sent: {type(error).__name__}"


def _providers(settings: Settings) -> Iterator[str]:
    """Who can answer users without keys of their own, and why others cannot."""
    for provider in compose_providers(settings, ClaudeWebClient(settings)):
        reason = reason_against(provider, own_key=False)
        if reason is not None and provider.takes_keys and reason_against(provider, own_key=True) is None:
            reason = f"only for users with a key of their own: {reason}"
        default = "  (default)" if provider.name == settings.chosen_provider else ""
        yield f"provider       {reason or 'ok'}  {provider.name}{default}"
    if settings.chosen_provider is None:
        yield "provider       no default (DEFAULT_PROVIDER): prompts that name nobody go by the user's own keys"


def _stored_keys(settings: Settings, sealed: dict[bytes, int]) -> Iterator[str]:
    """Whether an older ENCRYPTION_KEY can be dropped."""
    sealer = compose_sealer(settings)
    newest = sealed.pop(sealer.key_id, 0)
    older = sum(sealed.pop(key_id, 0) for key_id in sealer.older_key_ids)
    if newest or older:
        first = "ENCRYPTION_KEY" if settings.encryption_keys else "SESSION_SECRET"
        yield f"stored keys    {newest} sealed by the newest key (of {first}), {older} by older ones"
    if sealed:
        yield f"stored keys    {sum(sealed.values())} cannot be read: the key that sealed them is not configured"


def _logins(settings: Settings, logins: dict[bytes | None, int]) -> Iterator[str]:
    """Whether an older SESSION_SECRET can be dropped; share links do not say under which they were shown."""
    tokens = LoginTokens(settings.secrets)
    newest = logins.pop(tokens.secret_id, 0)
    unsaid = logins.pop(None, 0)
    older = sum(logins.pop(secret_id, 0) for secret_id in tokens.older_secret_ids)
    if newest or older:
        yield f"logins         {newest} under the newest SESSION_SECRET, {older} under older ones"
    if unsaid:
        yield f"logins         {unsaid} not used since a version that did not say under which secret"
    if logins:
        yield f"logins         {sum(logins.values())} are not accepted: their SESSION_SECRET is not configured"


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
    return url.rsplit("@", 1)[-1].split("?")[0].split("://", 1)[-1]
