"""The embedded database of `webedt dev`: started before the instances, started again when it dies, stopped last."""

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from webedt.database.embedded import EmbeddedPostgres

NAME = "webedt"
PAUSE_SECONDS = 1.0  # between two starts, for one that dies each time


class DevDatabase:
    """Runs while the block lasts. Raises `EmbeddedPostgresError` when it does not come up."""

    def __init__(self, data_dir: Path) -> None:
        self._server = EmbeddedPostgres(data_dir)
        self._started_at = 0.0
        if not self._server.home.is_relative_to(data_dir.resolve()):
            home = self._server.home
            print(f"The database is kept in {home}: its account, not being root, does not get into {data_dir}")

    @property
    def url(self) -> str:
        """The same for every start: replicas come back by themselves."""
        return self._server.url(NAME)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._server.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()

    def restart_if_ended(self) -> None:
        """Start it again if it died; to be called often."""
        if not self._server.running and time.monotonic() - self._started_at > PAUSE_SECONDS:
            print("The database ended; starting it again", flush=True)
            self._start()
            print("The database is back", flush=True)

    def _start(self) -> None:
        asyncio.run(_create_database(self._server.start(), NAME))
        self._started_at = time.monotonic()


async def _create_database(server_url: str, name: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
