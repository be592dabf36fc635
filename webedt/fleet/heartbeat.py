"""The lease of this replica on all its runs: one row in `instances`, one UPDATE every third of the lease.

Invariant (G3): what this replica may do is judged by its own monotonic clock from the *sending* of the last good beat,
which is never later than the `heartbeat_at` that the database stored; so this replica stops before any other may take
its runs over. Should it be frozen between the check and the append, the fence refuses the append.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

from webedt.database.dedicated import DedicatedConnection
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.identity import Identity
from webedt.kernel import AService, Background, BaseService

BeatListener = Callable[[Any], Awaitable[None]]


class AHeartbeat(AService):
    order: ClassVar[int] = -30

    @property
    @abstractmethod
    def valid(self) -> bool:
        """Whether the last good beat was sent less than a lease ago: only then may anything be appended."""

    @property
    @abstractmethod
    def may_take_over(self) -> bool:
        """Whether the beats have been good for a whole lease: only then may others be judged dead.

        After an outage of the database everybody looks stale to everybody; nobody moves a run then.
        """

    @abstractmethod
    async def wait_until_valid(self) -> None: ...

    @abstractmethod
    def on_beat(self, listener: BeatListener) -> None:
        """Have `listener(connection)` awaited after every good beat, on the heartbeat's own connection."""

    @abstractmethod
    def drain(self) -> None:
        """Say in the row that this replica is going."""


class Heartbeat(BaseService, AHeartbeat):
    def __init__(self, identity: Identity, lease_seconds: float) -> None:
        self._identity = identity
        self._lease = lease_seconds
        self._interval = lease_seconds / 3
        self._sent_at = float("-inf")
        self._steady_since: float | None = None
        self._became_valid = asyncio.Event()
        self._listeners: list[BeatListener] = []
        self._draining = False
        self._sql = load_queries("instances")
        self._background = Background()
        self._link: DedicatedConnection | None = None
        self._now = asyncio.Event()

    async def initialize(self) -> None:
        database = self.services.get(ADatabase)
        timeout = max(0.5, self._interval)
        self._link = DedicatedConnection(
            "heartbeat",
            partial(database.connect, "heartbeat", command_timeout_seconds=timeout),
            max_backoff_seconds=self._interval,
        )
        self._background.start("heartbeat", self._beat_for_ever(self._link))

    async def dispose(self) -> None:
        await self._background.stop()
        self._sent_at = float("-inf")
        if self._link is not None:
            await self._say_goodbye(self._link)
            await self._link.close()
        await super().dispose()

    @property
    def valid(self) -> bool:
        return time.monotonic() - self._sent_at < self._lease

    @property
    def may_take_over(self) -> bool:
        return self.valid and self._steady_since is not None and time.monotonic() - self._steady_since >= self._lease

    async def wait_until_valid(self) -> None:
        while not self.valid:
            self._became_valid.clear()
            await self._became_valid.wait()

    def on_beat(self, listener: BeatListener) -> None:
        self._listeners.append(listener)

    def drain(self) -> None:
        self._draining = True
        self._now.set()

    async def _say_goodbye(self, link: DedicatedConnection) -> None:
        """Without the row whatever this replica still owned is up for take-over at once, not after a lease."""
        if not link.connected:
            return
        try:
            connection = await link.get()
            await connection.execute(self._sql["remove_instance"], self._identity.instance_id, timeout=2)
        except Exception as error:
            self.log.warning("instance_not_removed", error=repr(error))

    async def _beat_for_ever(self, link: DedicatedConnection) -> None:
        while True:
            if not link.connected:
                self._steady_since = None
            connection = await link.get()
            sent_at = time.monotonic()
            try:
                await connection.fetchval(
                    self._sql["beat"], self._identity.instance_id, self._identity.container_id, self._draining
                )
            except Exception as error:
                self._steady_since = None
                self.log.warning("heartbeat_failed", error=repr(error))
                link.discard()
                await asyncio.sleep(min(0.2, self._interval))
                continue
            self._record(sent_at)
            for listener in self._listeners:
                try:
                    await listener(connection)
                except Exception as error:
                    self.log.warning("after_heartbeat_failed", error=repr(error))
            self._now.clear()
            try:
                async with asyncio.timeout(max(0.0, sent_at + self._interval - time.monotonic())):
                    await self._now.wait()
            except TimeoutError:
                pass

    def _record(self, sent_at: float) -> None:
        if self._steady_since is None or sent_at - self._sent_at >= 2 * self._interval:
            # The first beat, or the first after a missed one: an outage may have kept others from theirs, too.
            self._steady_since = sent_at
        self._sent_at = sent_at
        self._became_valid.set()
