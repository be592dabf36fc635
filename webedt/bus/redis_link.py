"""Two connections to Redis, one that publishes and one that hears. Whatever is wrong with either, it is given up.

`redis-py` would connect again and subscribe again by itself; here somebody has to know that messages may have been
lost, so nothing is tried twice and each connection lives once.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_SECONDS = 2.0
SEND_SECONDS = 1.0


class RedisLink:
    """`heard(channel, message)` is called on the event loop; it must be quick and not raise."""

    def __init__(self, url: str, heard: Callable[[str, bytes], None]) -> None:
        self._heard = heard
        # A pool only reads the URL here: its connections are the caller's own.
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,
            socket_connect_timeout=CONNECT_SECONDS,
            # With one, every write would be an `asyncio.wait_for`, which in Python 3.11 can swallow a cancellation
            # (bpo-37658). The deadlines are set here.
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            client_name="webedt",
        )
        self._publisher: Connection | None = None
        self._subscriber: Connection | None = None

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """How many heard each of them, as far as Redis knows. Raises whatever goes wrong, within `SEND_SECONDS`.

        What was lost with the connection may have been heard or not.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS if self._publisher is None else SEND_SECONDS):
                if self._publisher is None:
                    self._publisher = await self._connect()
                link = self._publisher
                commands = [("PUBLISH", channel, message) for channel, message in messages]
                await link.send_packed_command(link.pack_commands(commands), check_health=False)
                return [await link.read_response() for _ in messages]
        except BaseException:
            await self._drop_publisher()
            raise

    async def hear(self, channels: Sequence[str], subscribed: Callable[[], None]) -> None:
        """Call `subscribed` once everything said on `channels` is heard. Returns never; raises when that ends."""
        link: Any = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                link = self._subscriber = await self._connect()
                await link.send_command("SUBSCRIBE", *channels, check_health=False)
                for _ in channels:
                    await link.read_response()
            subscribed()
            while True:
                kind, *rest = await link.read_response(timeout=math.inf)
                if kind == b"message":
                    channel, message = rest
                    self._heard(channel.decode(), message)
        finally:
            self._subscriber = None
            if link is not None:
                await link.disconnect(nowait=True)

    async def hang_up(self) -> None:
        """Have `hear` end."""
        if self._subscriber is not None:
            await self._subscriber.disconnect(nowait=True)

    async def close(self) -> None:
        await self._drop_publisher()

    async def _connect(self) -> Connection:
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _drop_publisher(self) -> None:
        connection, self._publisher = self._publisher, None
        if connection is not None:
            await connection.disconnect(nowait=True)


async def reach(url: str) -> None:
    """Connect, log in and be answered once. Raises what is wrong."""
    link = RedisLink(url, lambda _channel, _message: None)
    try:
        await link.publish([("webedt:check", b"")])
    finally:
        await link.close()
