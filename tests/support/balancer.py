"""One address in front of several replicas, as a balancer in TCP mode: a new connection goes to a replica that answers.

Which one is asked first can be said, so that a test knows whom it kills. Connections to a replica that dies break, as
they do behind any balancer; the next one reaches another.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.support.fleet import Replica

BLOCK_BYTES = 64 * 1024


class Balancer:
    """In front of `replicas`; the first of them is asked first, until `prefer` says otherwise."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = list(replicas)
        self._open: dict[asyncio.StreamWriter, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.bytes_sent = 0
        """To all clients, headers included."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prefer(self, replica: Replica) -> None:
        """Ask this one first for every connection from now on."""
        self._replicas.sort(key=lambda one: one is not replica)

    def connections(self, replica: Replica) -> int:
        return list(self._open.values()).count(replica.name)

    def cut(self) -> int:
        """Reset every open connection; returns how many."""
        writers = list(self._open)
        for writer in writers:
            writer.transport.abort()
        return len(writers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            replica, server_in, upstream = await self._reach()
            self._open[client_out] = replica.name
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client_in, upstream))
                pumps.create_task(self._pump(server_in, client_out, counted=True))
        except (OSError, ExceptionGroup):
            pass
        finally:
            self._open.pop(client_out, None)
            for writer in (client_out, upstream):
                if writer is not None:
                    writer.transport.abort()

    async def _reach(self) -> tuple[Replica, asyncio.StreamReader, asyncio.StreamWriter]:
        for replica in self._replicas:
            with contextlib.suppress(OSError):
                return replica, *await asyncio.open_connection("127.0.0.1", replica.port)
        raise ConnectionRefusedError("no replica answers")

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool = False) -> None:
        while data := await source.read(BLOCK_BYTES):
            if counted:
                self.bytes_sent += len(data)
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError
