"""The bus over LISTEN and NOTIFY, on two connections of its own.

NOTIFY takes a cluster-wide lock at commit, so it is never part of an append: signals gather here and go out together,
at most every few milliseconds, each in a transaction of its own that does nothing else.

Replicas tell each other once a second that they live. One that hears itself and nobody else tells nobody anything:
that spares a deployment of one replica some hundred commits a second. Whoever comes is heard at once; what it may miss
before that, its sweeps find.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from webedt.bus.interface import ABus, Commit, Follower, Handler, Topic
from webedt.bus.peers import Peers
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
        self._peers = Peers(self._sender)
        self._closed = asyncio.Event()
        self._handlers: dict[Topic, list[Handler]] = {topic: [] for topic in Topic}
        self._follower: Follower | None = None
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
        self._metrics.observe(self._measure)
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
        for outbox in self._outboxes():
            outbox.add(topic, changed)
        if local:
            self._deliver(topic, changed)

    def carry(self, commits: Sequence[Commit]) -> None:
        for outbox in self._outboxes():
            for commit in commits:
                outbox.grow(commit.session_id, commit.last_seq)

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        self._handlers[topic].append(handler)

    def follow(self, follower: Follower) -> None:
        self._follower = follower

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnected.append(callback)

    @property
    def connected(self) -> bool:
        return time.monotonic() - self._heard_at < DEAF_AFTER_SECONDS

    @property
    def ways(self) -> Sequence[str]:
        return ("postgres",)

    # What a bus beside this one may change ---------------------------------------------------------------------------

    def _outboxes(self) -> Sequence[Outbox]:
        """Where a signal is put that goes out now."""
        return () if self.connected and self._peers.none_live else (self._outbox,)

    def _self_test(self) -> Signal:
        return Signal(self._sender, ping=1)

    async def _listening(self, connection: Any) -> None:
        """Signals of others are heard from now on."""
        self._peers.begin()

    def _listener_lost(self) -> None:
        """They are not any more."""

    def _pinged(self, signal: Signal) -> None:
        """A replica, this one included, tested itself through PostgreSQL."""
        self._peers.pinged(signal.sender, hears_redis=bool(signal.hears_redis))

    # Tasks -----------------------------------------------------------------------------------------------------------

    async def _listen(self, link: DedicatedConnection) -> None:
        while True:
            connection = await link.get()
            self._closed.clear()
            connection.add_termination_listener(lambda _connection: self._closed.set())
            try:
                # LISTEN first, then let everybody read: what is committed in between is heard, what was before is read.
                await connection.add_listener(CHANNEL, self._hear)
                await self._listening(connection)
            except Exception as error:
                self.log.debug("listen_failed", error=repr(error))
                link.discard()
                continue
            self._heard_at = time.monotonic()
            self._call_reconnected()
            await self._closed.wait()
            link.discard()
            self._heard_at = float("-inf")
            self._listener_lost()
            self.log.warning("listener_lost")

    async def _notify(self, link: DedicatedConnection) -> None:
        while True:
            await self._outbox.filled.wait()
            self._outbox.filled.clear()
            payloads = list(self._outbox.payloads(self._outbox.take()))
            if self._ping_due:
                self._ping_due = False
                payloads.append(encode(self._self_test()))
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
            self._ping_now()
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

    def _ping_now(self) -> None:
        self._ping_due = True
        self._outbox.filled.set()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        signal = decode(str(payload))
        if signal is None:
            return
        if signal.ping:
            if signal.sender == self._sender:
                self._heard_at = time.monotonic()
            self._pinged(signal)
        for _ in self._take(signal):
            pass

    def _take(self, signal: Signal) -> Iterator[UUID]:
        """Have it heard, unless it is our own; yields the sessions of whose growth somebody here did not know yet."""
        if signal.sender == self._sender:
            return
        for topic, ids in signal.topics.items():
            if topic is not Topic.EVENTS:
                self._deliver(topic, set(ids))
                continue
            # A replica of an older version does not say how far the logs go.
            last_seqs = dict(zip(ids, signal.last_seqs, strict=False))
            self._deliver(topic, {session_id for session_id in ids if not last_seqs.get(session_id)})
            for session_id, last_seq in last_seqs.items():
                if last_seq and self._follower is not None and self._follower.grown(session_id, last_seq):
                    yield session_id

    def _deliver(self, topic: Topic, ids: set[UUID]) -> None:
        for handler in self._handlers[topic]:
            handler(ids)

    def _call_reconnected(self) -> None:
        for callback in self._reconnected:
            callback()

    def _measure(self) -> None:
        self._metrics.listener_connected.set(float(self.connected))
        for way in ("postgres", "redis"):
            self._metrics.bus_in_use.set(float(way in self.ways), way)
