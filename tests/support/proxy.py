"""A proxy in front of PostgreSQL that loses what it is told to lose."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Loss = Literal["answer", "question"]


class LossyProxy:
    """Forwards bytes. `lose` makes the connections of one purpose (`webedt-<purpose>`) lose one exchange and break.

    `lost` is set once that has happened. While `open` is cleared, new connections are taken but not forwarded.
    """

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        self._database = parts.path
        self._user = parts.username or "postgres"
        self._host = query.get("host", [parts.hostname or "127.0.0.1"])[0]
        self._port = int(query.get("port", [parts.port or 5432])[0])
        self._loss: tuple[bytes, Loss] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://{self._user}@127.0.0.1:{port}{self._database}"

    def lose(self, purpose: str, what: Loss) -> None:
        """Lose the next answer to, or the next question of, a connection of this purpose."""
        self.lost.clear()
        self._loss = (f"webedt-{purpose}\0".encode(), what)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["LossyProxy"]:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_out: asyncio.StreamWriter | None = None
        pumps: list[asyncio.Task[None]] = []
        try:
            await self.open.wait()
            if self._host.startswith("/"):
                server_in, server_out = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
            else:
                server_in, server_out = await asyncio.open_connection(self._host, self._port)
            link = _Link()
            pumps = [
                asyncio.create_task(self._questions(link, client_in, server_out)),
                asyncio.create_task(self._answers(link, server_in, client_out)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for out in (client_out, server_out):
                if out is not None:
                    out.transport.abort()

    async def _questions(self, link: "_Link", source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not link.greeted:
                link.greeting += data
                link.greeted = b"application_name\0" in link.greeting
            elif self._loss is not None and self._loss[0] in link.greeting:
                what, self._loss = self._loss[1], None
                if what == "question":
                    self.lost.set()
                    return
                link.deaf = True
            sink.write(data)

    async def _answers(self, link: "_Link", source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if link.deaf:
                self.lost.set()
                return
            sink.write(data)


class _Link:
    """One connection: what it said first (its application name stands there), and whether its answers are lost."""

    def __init__(self) -> None:
        self.greeting = b""
        self.greeted = False
        self.deaf = False
