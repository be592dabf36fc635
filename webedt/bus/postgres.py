"""The bus over LISTEN and NOTIFY, on two connections of its own.

NOTIFY takes a cluster-wide lock at commit, so it is never part of an append: signals gather here and go out together,
at most every few milliseconds, each in a transaction of its own that does nothing else.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from webedt.bus.interface import ABus, Handler, Topic
from webedt.bus.signals import Outbox, Signal, decode, encode
from webedt.database.dedicated import DedicatedConnection
from webedt.database.interface import ADatabase
from webedt.kernel import Background, BaseService
from webedt.telemetry.metrics import Metrics

CHANNEL = "webedt"
COALESCE_SECONDS = 0.004
PING_EVERY_SECONDS = 1.0
DEAF_AFTER_SECONDS = 3.0


class PostgresBus(BaseService, ABus):
    def __init__(self, instance_id: UUID, metrics: Metrics) -> None:
        self._sender = instance_id.hex
        self._metrics = metrics
        self._outbox = Outbox(self._sender)
        self._filled = asyncio.Event()
        self._closed = asyncio.Event()
        self._handlers: dict[Topic, list[Handler]] = {topic: [] for topic in Topic}
        self._reconnected: list[Callable[[], None]] = []
        self._heard_at = float("-inf")
        self._ping_due = False
        self._background = Background()
        self._listener: DedicatedConnection | None = None
        self._notifier: DedicatedConnection | None = None

    async def initialize(self) -> None:
        database = self.services.get(ADatabase)
        self._listener, self._notifier = (
            DedicatedConnection(purpose, partial(database.connect, purpose, command_timeout_seconds=5))
            for purpose in ("listener", "notifier")
        )
        self._metrics.observe(lambda: self._metrics.listener_connected.set(float(self.connected)))
        self._background.start("bus-listener", self._listen(self._listener))
        self._background.start("bus-notifier", self._notify(self._notifier))
        self._background.start("bus-ping", self._ping(self._listener))

    async def dispose(self) -> None:
        await self._background.stop()
        for link in (self._listener, self._notifier):
            if link is not None:
                await link.close()
        await super().dispose()

    def publish(self, topic: Topic, ids: Iterable[UUID], *, local: bool = True) -> None:
        changed = set(ids)
        self._outbox.add(topic, changed)
        self._filled.set()
        if local:
            self._deliver(topic, changed)

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        self._handlers[topic].append(handler)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnected.append(callback)

    @property
    def connected(self) -> bool:
        return time.monotonic() - self._heard_at < DEAF_AFTER_SECONDS

    # Tasks -----------------------------------------------------------------------------------------------------------

    async def _listen(self, link: DedicatedConnection) -> None:
        while True:
            connection = await link.get()
            self._closed.clear()
            connection.add_termination_listener(lambda _connection: self._closed.set())
            try:
                # LISTEN first, then let everybody read: what is committed in between is heard, what was before is read.
                await connection.add_listener(CHANNEL, self._hear)
            except Exception as error:
                self.log.debug("listen_failed", error=repr(error))
                link.discard()
                continue
            self._heard_at = time.monotonic()
            for callback in self._reconnected:
                callback()
            await self._closed.wait()
            link.discard()
            self._heard_at = float("-inf")
            self.log.warning("listener_lost")

    async def _notify(self, link: DedicatedConnection) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            payloads = list(self._outbox.take())
            if self._ping_due:
                self._ping_due = False
                payloads.append(encode(Signal(self._sender, ping=1)))
            if payloads:
                await self._send(link, payloads)
                await asyncio.sleep(COALESCE_SECONDS)

    async def _send(self, link: DedicatedConnection, payloads: list[str]) -> None:
        try:
            async with asyncio.timeout(5):
                connection = await link.get()
                for payload in payloads:
                    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
        except Exception as error:
            # Lost, as a signal may be: the sweeps of the others find what it would have told them.
            self.log.debug("notify_failed", error=repr(error), payloads=len(payloads))
            link.discard()

    async def _ping(self, link: DedicatedConnection) -> None:
        """Prove the way through PostgreSQL and back; a listener that hears nothing is made anew."""
        deaf = False
        while True:
            self._ping_due = True
            self._filled.set()
            await asyncio.sleep(PING_EVERY_SECONDS)
            if self.connected == deaf:
                deaf = not self.connected
                if deaf:
                    self.log.warning("bus_degraded")
                else:
                    self.log.info("bus_restored")
            if deaf and link.connected:
                link.discard()
                self._closed.set()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        signal = decode(str(payload))
        if signal is None:
            return
        if signal.sender == self._sender:
            if signal.ping:
                self._heard_at = time.monotonic()
            return
        for topic, ids in signal.topics.items():
            self._deliver(topic, set(ids))

    def _deliver(self, topic: Topic, ids: set[UUID]) -> None:
        for handler in self._handlers[topic]:
            handler(ids)
