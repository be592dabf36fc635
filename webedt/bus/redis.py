"""The bus over Redis pub/sub, beside the one over PostgreSQL and never instead of it.

Redis is the faster way: signals are cheap there, and commits travel whole to the replicas that follow the session,
which then need no read of the database. PostgreSQL is the way that is always there, and over it replicas tell each
other once a second that they live and whether they hear Redis. By which way a signal goes:

- by Redis alone, while a ping of our own has just come back through it and every replica that lives says the same;
- by both, while somebody does not hear Redis, or may not, or did not hear the last message;
- by PostgreSQL alone, while we do not hear Redis ourselves. What Redis did not take goes that way at once.

See `docs/bus.md`.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from webedt.bus.interface import Commit
from webedt.bus.letters import Letter, Mail, Wanted, decode_commit, decode_letter, encode_commit, encode_letter
from webedt.bus.postgres import PostgresBus
from webedt.bus.redis_link import RedisLink
from webedt.bus.sealing import EVERYBODY, Realm
from webedt.bus.signals import Outbox, Pending, Signal, decode
from webedt.database.backoff import Backoff
from webedt.database.sql import load_queries
from webedt.telemetry.metrics import Metrics

GATHER_SECONDS = 0.004
TEST_EVERY_SECONDS = 0.5
UNHEARD_AFTER_SECONDS = 1.5
MAX_BACKOFF_SECONDS = 2.0


class RedisBus(PostgresBus):
    def __init__(self, instance_id: UUID, metrics: Metrics, url: str, session_secrets: Sequence[str]) -> None:
        super().__init__(instance_id, metrics)
        self._session_secrets = session_secrets
        self._redis = RedisLink(url, self._hear_redis)
        self._realm: Realm | None = None
        self._realm_known = asyncio.Event()
        self._fast_outbox = Outbox(self._sender)
        self._mail = Mail(self._sender)
        self._wanted = Wanted()
        self._subscribed_at: float | None = None
        self._redis_heard_at = float("-inf")
        self._works = False
        self._reconsider = asyncio.Event()
        self._told_of_loss = False
        self._said_deaf = False

    async def initialize(self) -> None:
        for outcome in ("published", "received", "used", "dropped"):
            self._metrics.bus_frames.begin(outcome)
        await super().initialize()
        self._background.start("bus-redis-subscriber", self._subscribe())
        self._background.start("bus-redis-publisher", self._publish_for_ever())
        self._background.start("bus-redis-test", self._test())

    async def dispose(self) -> None:
        await super().dispose()
        await self._redis.close()

    def carry(self, commits: Sequence[Commit]) -> None:
        if self._works:
            for commit in commits:
                self._carry(commit)
        super().carry(commits)

    @property
    def ways(self) -> Sequence[str]:
        if not self._works:
            return ("postgres",)
        return ("redis",) if self.connected and self._peers.all_hear_redis else ("redis", "postgres")

    # Beside PostgreSQL -----------------------------------------------------------------------------------------------

    def _outboxes(self) -> Sequence[Outbox]:
        boxes = {"redis": self._fast_outbox, "postgres": self._outbox}
        return [boxes[way] for way in self.ways]

    def _self_test(self) -> Signal:
        return Signal(self._sender, ping=1, hears_redis=int(self._works))

    async def _listening(self, connection: Any) -> None:
        row = await connection.fetchrow(load_queries("instances")["identify_incarnation"])
        await super()._listening(connection)
        self._set_realm(Realm(self._session_secrets, f"{row['database']} {row['server_started_at']}"))

    def _listener_lost(self) -> None:
        # The server may have been restored or replaced: what others say counts when we know that they mean the same.
        self._set_realm(None)

    def _pinged(self, signal: Signal) -> None:
        super()._pinged(signal)
        if signal.sender == self._sender and self._said_deaf and not signal.hears_redis:
            # By now everybody knows that we do not hear Redis: what was said there alone, we read.
            self._said_deaf = False
            self._call_reconnected()

    def _set_realm(self, realm: Realm | None) -> None:
        self._realm = realm
        self._redis_heard_at = float("-inf")
        self._realm_known.set()
        self._reconsider.set()

    # Publishing ------------------------------------------------------------------------------------------------------

    def _carry(self, commit: Commit) -> None:
        replicas = self._wanted.of(commit.session_id)
        if replicas and commit.events:
            encoded = encode_commit(commit)
            for replica in replicas:
                taken = self._mail.add_commit(replica, encoded)
                self._metrics.bus_frames.inc(1, "published" if taken else "dropped")
        if commit.ended:
            self._wanted.forget(commit.session_id)

    async def _publish_for_ever(self) -> None:
        backoff = Backoff(0.05, MAX_BACKOFF_SECONDS)
        while True:
            await self._fast_outbox.filled.wait()
            self._fast_outbox.filled.clear()
            signals = self._fast_outbox.take()
            try:
                await self._publish(signals)
            except Exception as error:
                self._outbox.merge(signals)
                self._lost(error)
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()
                await asyncio.sleep(GATHER_SECONDS)

    async def _publish(self, signals: Pending) -> None:
        """Letters first: who gets a commit must not read it because of the signal that tells of it."""
        realm = self._realm
        letters = list(self._mail.take())
        if realm is None:
            self._outbox.merge(signals)
            return
        messages = [(whom, encode_letter(letter)) for whom, letter in letters]
        messages += [(EVERYBODY, text.encode()) for text in self._fast_outbox.payloads(signals)]
        if not messages:
            return
        channels = [realm.channel(whom) for whom, _ in messages]
        sealed = [(channel, realm.seal(channel, text)) for channel, (_, text) in zip(channels, messages, strict=True)]
        heard_by = await self._redis.publish(sealed)
        unheard = False
        for (whom, _), count in zip(messages, heard_by, strict=True):
            if whom == EVERYBODY:
                unheard = unheard or count < 1 + self._peers.living
            elif not count:
                self._wanted.forget_replica(whom)
        if unheard:
            self._outbox.merge(signals)

    # Hearing ---------------------------------------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        backoff = Backoff(0.05, MAX_BACKOFF_SECONDS)
        while True:
            self._realm_known.clear()
            realm = self._realm
            if realm is None:
                await self._realm_known.wait()
                continue
            try:
                channels = realm.channels(self._sender) + realm.channels(EVERYBODY)
                await self._redis.hear(channels, self._subscribed)
            except Exception as error:
                self._lost(error)
            if self._subscribed_at is not None:
                self._subscribed_at = None
                backoff.reset()
            await asyncio.sleep(backoff.next())

    def _subscribed(self) -> None:
        self._subscribed_at = time.monotonic()
        self._reconsider.set()  # which sends the ping that proves it

    def _hear_redis(self, channel: str, message: bytes) -> None:
        opened = None if self._realm is None else self._realm.open(channel, message)
        if opened is None:
            return
        if channel.endswith(f":{EVERYBODY}"):
            if (signal := decode(opened)) is not None:
                for session_id in self._take(signal):
                    self._mail.ask(signal.sender, session_id)
                    self._fast_outbox.filled.set()
        elif (letter := decode_letter(opened)) is not None:
            self._read(letter)

    def _read(self, letter: Letter) -> None:
        if letter.ping and letter.sender == self._sender:
            self._redis_heard_at = time.monotonic()
            if not self._works:
                self._reconsider.set()
        for commit in filter(None, map(decode_commit, letter.commits)):
            self._metrics.bus_frames.inc(1, "received")
            if self._follower is None or not self._follower.carried(commit):
                self._mail.decline(letter.sender, commit.session_id)
                self._fast_outbox.filled.set()
        for session_id in letter.wanted:
            self._wanted.add(session_id, letter.sender)
        for session_id in letter.unwanted:
            self._wanted.remove(session_id, letter.sender)

    # Whether it works ------------------------------------------------------------------------------------------------

    async def _test(self) -> None:
        """Prove the way through Redis and back; a subscriber that hears nothing is made anew."""
        while True:
            self._reconsider.clear()
            self._mail.ping()
            self._fast_outbox.filled.set()
            now = time.monotonic()
            works = now - self._redis_heard_at < UNHEARD_AFTER_SECONDS
            if works != self._works:
                self._switch(works)
            overdue = self._subscribed_at is not None and now - self._subscribed_at > UNHEARD_AFTER_SECONDS
            if not works and (overdue or self._realm is None):
                await self._redis.hang_up()
            self._wanted.forget_quiet()
            try:
                async with asyncio.timeout(TEST_EVERY_SECONDS):
                    await self._reconsider.wait()
            except TimeoutError:
                pass

    def _switch(self, works: bool) -> None:
        self._works = works
        if works:
            self._told_of_loss = False
            self.log.info("redis_heard")
            self._call_reconnected()  # subscribed first: what was said before that, everybody reads
        else:
            self._lost(None)
            self._wanted.clear()
            self._said_deaf = True
        self._ping_now()

    def _lost(self, error: Exception | None) -> None:
        """Say so once, at the start or after it has worked."""
        self._redis_heard_at = float("-inf")
        self._reconsider.set()
        if not self._told_of_loss:
            self._told_of_loss = True
            self.log.warning("redis_lost", error=repr(error) if error else "a ping has not come back")
