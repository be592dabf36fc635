"""Connections that never ask for anything, or spell their request out byte by byte, are not kept for ever.

aiohttp has a deadline between requests, none before the first. A connection that has not sent one whole request head in
time is cut; so thousands of them cost file descriptors for seconds, not for good.
"""

import asyncio
import time
from typing import Any

import structlog
from aiohttp import web

FIRST_REQUEST_SECONDS = 10.0
LOOK_EVERY_SECONDS = 1.0


class Doorkeeper:
    """`saw` is called with the protocol of every request; `watch` runs for as long as the server does."""

    def __init__(self, first_request_seconds: float = FIRST_REQUEST_SECONDS) -> None:
        self._deadline = first_request_seconds
        self._served: set[Any] = set()
        self._since: dict[Any, float] = {}
        self._log = structlog.get_logger(component="Doorkeeper")

    def saw(self, protocol: Any) -> None:
        self._served.add(protocol)

    async def watch(self, server: web.Server) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            self.look(server.connections, time.monotonic())

    def look(self, connections: list[Any], now: float) -> int:
        """Cut who is late; returns how many. Forgets connections that are gone."""
        here = set(connections)
        self._served &= here
        silent = here - self._served
        self._since = {one: self._since.get(one, now) for one in silent}
        late = [one for one, since in self._since.items() if now - since > self._deadline]
        for protocol in late:
            if protocol.transport is not None:
                protocol.transport.abort()
        if late:
            self._log.info("silent_connections_cut", connections=len(late))
        return len(late)
