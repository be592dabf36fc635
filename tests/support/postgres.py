"""Databases for tests: made, cloned from a migrated template and dropped on one server."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from webedt.database.migrations import migrate

PLACE_SECONDS = 30.0
PARTITION_LOG = Path(__file__).parents[2] / "sql" / "optional" / "partition_log.sql"


async def connect(url: str, **options: Any) -> Any:
    """A connection, with the options of `asyncpg.connect`; on a server that is full, once there is a place:
    replicas that a test kills and restarts may take all of them for a moment."""
    deadline = time.monotonic() + PLACE_SECONDS
    while True:
        try:
            return await asyncpg.connect(url, **options)
        except asyncpg.TooManyConnectionsError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


@dataclass(frozen=True)
class DatabaseServer:
    """A server, and the prefix of every database that this run of the tests makes on it."""

    url: str
    prefix: str

    @property
    def template(self) -> str:
        """The migrated database that others are cloned from."""
        return f"{self.prefix}template"

    @contextlib.asynccontextmanager
    async def database(self, name: str, *, template: str = "template0") -> AsyncIterator[str]:
        """The URL of a new database that is dropped afterwards, whoever is still connected to it."""
        await self._execute(f'CREATE DATABASE "{self.prefix}{name}" TEMPLATE "{template}"')
        try:
            yield self._url_of(f"{self.prefix}{name}")
        finally:
            await self._execute(f'DROP DATABASE "{self.prefix}{name}" WITH (FORCE)')

    async def make_template(self) -> None:
        """Create and migrate the template, in place of one whose migration failed.

        `TEST_PARTITIONED=1`: its log in partitions."""
        await self._execute(f'DROP DATABASE IF EXISTS "{self.template}"')
        await self._execute(f'CREATE DATABASE "{self.template}" TEMPLATE template0')
        await migrate(self._url_of(self.template))
        if os.environ.get("TEST_PARTITIONED") == "1":
            connection = await connect(self._url_of(self.template))
            await connection.execute(PARTITION_LOG.read_text())
            await connection.close()

    async def drop_all(self) -> None:
        """Drop everything that this run made."""
        connection = await connect(self.url)
        try:
            find = "SELECT datname FROM pg_database WHERE starts_with(datname::text, $1)"
            for (name,) in await connection.fetch(find, self.prefix):
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    def _url_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    async def _execute(self, statement: str) -> None:
        connection = await connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
