"""A connection of one's own, outside the pool: found again after every loss, with backoff.

The heartbeat, the event writer, the listener and the notifier each have one, so that a busy pool never delays them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from webedt.database.backoff import Backoff
from webedt.database.faults import is_passing


class DedicatedConnection:
    """`connect` makes a new connection (one try); `get` returns the living one or makes it, however long it takes."""

    def __init__(
        self, purpose: str, connect: Callable[[], Coroutine[Any, Any, Any]], *, max_backoff_seconds: float = 5.0
    ) -> None:
        self._connect = connect
        self._backoff = Backoff(max_seconds=max_backoff_seconds)
        self._connection: Any = None
        self._log = structlog.get_logger(component="DedicatedConnection", purpose=purpose)
        self._lost = False

    @property
    def connected(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def get(self) -> Any:
        """The connection. Only one task may call this; it waits while the server is away, and logs that once."""
        while not self.connected:
            self.discard()
            try:
                self._connection = await self._connect()
            except Exception as error:
                if not self._lost:
                    self._lost = True
                    self._log.warning("connection_unavailable", error=repr(error), passing=is_passing(error))
                await asyncio.sleep(self._backoff.next())
            else:
                self._backoff.reset()
                if self._lost:
                    self._lost = False
                    self._log.info("connection_restored")
        return self._connection

    def discard(self) -> None:
        """Drop the connection without a word to the server; what it was doing there may or may not be done."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    async def close(self) -> None:
        """Say goodbye to the server, briefly."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=2)
            except Exception:
                connection.terminate()
