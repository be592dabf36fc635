"""A TCP proxy on loopback between a replica and its database, that misbehaves as networks do.

It passes bytes on; it can hold them back (`blackhole`: the connections stay open and nothing comes through), be slow,
cut what is open, and refuse what is new. Connections may be told apart by what they are for: replicas name themselves
`webedt-listener`, `webedt-writer` and so on in their first packet.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from tests.support.fleet_notifications import NotificationFaults, Sieve
from tests.support.ports import free_port

_PURPOSE = re.compile(rb"webedt-([a-z]+)")
BLOCK_BYTES = 64 * 1024


class Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, purpose: str) -> None:
        self.client = client
        self.server = server
        self.purpose = purpose
        self.losing = False
        self.sieve: Sieve | None = None

    def cut(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class FaultyProxy:
    """In front of the server of `database_url`; `url` is what the replica is given."""

    def __init__(self, database_url: str) -> None:
        self._parts = urlsplit(database_url)
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: frozenset[str] = frozenset()
        self._hold_all = False
        self._changed = asyncio.Event()
        self.delay_seconds = 0.0
        self._to_lose: tuple[str, bytes] | None = None
        self.notifications: NotificationFaults | None = None
        """What befalls notifications on connections that are made from then on."""

    @property
    def url(self) -> str:
        user = self._parts.username or "postgres"
        password = f":{self._parts.password}" if self._parts.password else ""
        netloc = f"{user}{password}@127.0.0.1:{self._port}"
        return urlunsplit(self._parts._replace(netloc=netloc, query="sslmode=disable"))

    # What can be broken ----------------------------------------------------------------------------------------------

    def blackhole(self, *purposes: str) -> None:
        """Let nothing through, of these connections or of all; they stay open."""
        self._hold_all = not purposes
        self._held = frozenset(purposes)

    def heal(self) -> None:
        """Pass on what was held back, and everything from now on."""
        self._hold_all, self._held = False, frozenset()
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self, *purposes: str) -> int:
        """Reset the open connections, of these purposes or all; returns how many."""
        links = [link for link in self._links if not purposes or link.purpose in purposes]
        for link in links:
            link.cut()
        return len(links)

    def lose_answer(self, purpose: str, question: bytes) -> None:
        """Cut the connection when it answers the next question with these bytes: done, and nobody is told."""
        self._to_lose = (purpose, question)

    @property
    def lost(self) -> bool:
        """Whether there was such a question."""
        return self._to_lose is None

    async def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def accept(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)

    async def close(self) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Passing on ------------------------------------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: Link | None = None
        try:
            first = await reader.read(BLOCK_BYTES)
            found = _PURPOSE.search(first)
            upstream_reader, upstream = await self._open_upstream()
            link = Link(writer, upstream, found[1].decode() if found else "")
            if self.notifications is not None and link.purpose == "listener":
                link.sieve = Sieve(self.notifications, writer)
            self._links.add(link)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, reader, upstream, first, asking=True))
                pumps.create_task(self._pump(link, upstream_reader, writer, b"", asking=False))
        except (OSError, ExceptionGroup):
            pass
        finally:
            if link is None:
                writer.transport.abort()
            else:
                self._links.discard(link)
                link.cut()

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, *, asking: bool
    ) -> None:
        while True:
            if asking and self._to_lose and self._to_lose[0] == link.purpose and self._to_lose[1] in data:
                self._to_lose = None
                link.losing = True
            elif data and not asking and link.losing:
                raise ConnectionResetError
            if not asking and link.sieve is not None:
                data = link.sieve.take(data)
            while data and (self._hold_all or link.purpose in self._held):
                await self._changed.wait()
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            if data:
                writer.write(data)
                await writer.drain()
            data = await reader.read(BLOCK_BYTES)
            if not data:
                raise ConnectionResetError

    async def _open_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        query = parse_qs(self._parts.query)
        if "host" in query:
            socket = Path(query["host"][0]) / f".s.PGSQL.{query.get('port', ['5432'])[0]}"
            return await asyncio.open_unix_connection(socket)
        return await asyncio.open_connection(self._parts.hostname, self._parts.port or 5432)


@contextlib.asynccontextmanager
async def proxied(database_url: str) -> AsyncIterator[FaultyProxy]:
    """A proxy for the time of the block."""
    proxy = FaultyProxy(database_url)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()
