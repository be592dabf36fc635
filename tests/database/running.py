"""A `PostgresDatabase` of a test's own, and a wire to the server that can fall silent or lose one COMMIT."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tests.support.pooling import settings_to
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.kernel import ServiceProvider
from webedt.telemetry.metrics import Metrics


@contextlib.asynccontextmanager
async def running_database(url: str, *, wait: bool = True, **settings: Any) -> AsyncIterator[PostgresDatabase]:
    """A started database service; it is ready, unless `wait` is off."""
    database = PostgresDatabase(Settings(**{**settings_to(url), "environment": "test", **settings}), Metrics("test"))
    provider = ServiceProvider()
    provider.register(ADatabase, database)
    await provider.initialize()
    try:
        if wait:
            async with asyncio.timeout(20):
                await database.wait_until_ready()
        yield database
    finally:
        await provider.reset()


@contextlib.asynccontextmanager
async def administrator(url: str) -> AsyncIterator[Any]:
    """A plain connection beside those of the service."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def terminate_backends(admin: Any, purpose: str) -> int:
    """End every connection of `webedt-<purpose>` on this database, as an administrator would; returns how many."""
    rows = await admin.fetch(
        """
        SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = $1
        """,
        f"webedt-{purpose}",
    )
    return len(rows)


class Wire:
    """A TCP proxy in front of the server of a database.

    `silence()` is a black hole: nothing is refused and nothing closed, but no byte goes through until `heal()`.
    `lose("COMMIT", …)` breaks the next connection that says COMMIT: before the server hears it, or before its answer.
    """

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        self._parts = parts
        self._host = query.get("host", [parts.hostname or "127.0.0.1"])[0]
        self._port = int(query.get("port", [str(parts.port or 5432)])[0])
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._statement = b""
        self._loss: Literal["statement", "answer"] = "answer"
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://{self._parts.username or 'postgres'}@127.0.0.1:{port}{self._parts.path}"

    def silence(self) -> None:
        self._flowing.clear()

    def heal(self) -> None:
        self._flowing.set()

    def leave_for_dead(self) -> None:
        """What is silent stays so for ever, and looks well to both ends; new connections get through."""
        self._flowing = asyncio.Event()
        self._flowing.set()

    def lose(self, statement: str, what: Literal["statement", "answer"]) -> None:
        self._statement, self._loss = statement.encode() + b"\0", what

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            for link in self._links:
                link.cancel()
            await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._carry(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _carry(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        outs = [client_out]
        pumps: list[asyncio.Task[None]] = []
        try:
            await self._flowing.wait()
            if self._host.startswith("/"):
                path = f"{self._host}/.s.PGSQL.{self._port}"
                server_in, server_out = await asyncio.open_unix_connection(path)
            else:
                server_in, server_out = await asyncio.open_connection(self._host, self._port)
            outs.append(server_out)
            answer_is_lost = asyncio.Event()
            pumps = [
                asyncio.create_task(self._questions(client_in, server_out, answer_is_lost)),
                asyncio.create_task(self._answers(server_in, client_out, answer_is_lost)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for out in outs:
                out.transport.abort()

    async def _questions(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while data := await source.read(65536):
            await self._flowing.wait()
            if self._statement and self._statement in data:
                self._statement = b""
                if self._loss == "statement":
                    return
                lost.set()
            sink.write(data)

    async def _answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while data := await source.read(65536):
            await self._flowing.wait()
            if lost.is_set():
                return
            sink.write(data)
