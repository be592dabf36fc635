"""A user's list of sessions as it changes: one feed for all of the user's list streams on this replica.

A signal or the sweep only says *that* something changed; the feed reads what was changed last and tells what differs
from what it told before. A watermark alone would lose changes (commits become visible out of the order of their
timestamps), so each read reaches back a little and is compared.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from webedt.bus.interface import ABus, Topic
from webedt.domain.errors import Unavailable
from webedt.domain.sessions import ChatSession
from webedt.kernel import AService, Background, BaseService
from webedt.services.sessions import ASessions

SNAPSHOT_SIZE = 50
CHANGES_AT_ONCE = 500
CREATED_LATELY = timedelta(seconds=60)
SWEEP_SECONDS = 2.0
QUEUE_LIMIT = 1000
NEVER = datetime(1970, 1, 2, tzinfo=UTC)

ChangeKind = Literal["created", "updated", "status_changed", "deleted"]


class Change(msgspec.Struct, frozen=True):
    kind: ChangeKind
    session: ChatSession


class Subscription:
    """What one list stream still has to send. `overflowed`: the reader is too slow and has to begin anew."""

    def __init__(self) -> None:
        self.snapshot: list[ChatSession] = []
        self.changes: asyncio.Queue[Change] = asyncio.Queue(QUEUE_LIMIT)
        self.overflowed = False

    def tell(self, change: Change) -> None:
        try:
            self.changes.put_nowait(change)
        except asyncio.QueueFull:
            self.overflowed = True


class ALists(AService):
    order: ClassVar[int] = 80

    @abstractmethod
    async def subscribe(self, user_id: UUID) -> Subscription:
        """A subscription whose snapshot is filled; every later change is told."""

    @abstractmethod
    def unsubscribe(self, user_id: UUID, subscription: Subscription) -> None: ...


class _Feed:
    def __init__(self) -> None:
        self.known: dict[UUID, ChatSession] = {}
        self.newest = NEVER
        self.changed_at = float("-inf")
        self.subscriptions: set[Subscription] = set()
        self.lock = asyncio.Lock()


class Lists(BaseService, ALists):
    def __init__(self, statement_seconds: float) -> None:
        """`statement_seconds`: how long a statement may take, and so how late a change may become visible."""
        self._look_back = timedelta(seconds=statement_seconds + 5)
        self._feeds: dict[UUID, _Feed] = {}
        self._stale: set[UUID] = set()
        self._look = asyncio.Event()
        self._everybody_at = float("-inf")
        self._background = Background()

    async def initialize(self) -> None:
        self._sessions = self.services.get(ASessions)
        bus = self.services.get(ABus)
        bus.subscribe(Topic.LISTS, self._changed)
        bus.on_reconnect(self._signals_lost)
        self._background.start("lists", self._follow())

    async def dispose(self) -> None:
        await self._background.stop()
        await super().dispose()

    async def subscribe(self, user_id: UUID) -> Subscription:
        feed = self._feeds.setdefault(user_id, _Feed())
        subscription = Subscription()
        # Subscribed first, read afterwards: a change is in the snapshot, or told, or both.
        feed.subscriptions.add(subscription)
        try:
            async with feed.lock:
                if feed.newest != NEVER:
                    await self._read(user_id, feed)
                subscription.snapshot = list(await self._sessions.list(user_id, limit=SNAPSHOT_SIZE))
                for session in subscription.snapshot:
                    feed.known.setdefault(session.id, session)
                    feed.newest = max(feed.newest, session.updated_at)
        except BaseException:
            self.unsubscribe(user_id, subscription)
            raise
        return subscription

    def unsubscribe(self, user_id: UUID, subscription: Subscription) -> None:
        feed = self._feeds.get(user_id)
        if feed is not None:
            feed.subscriptions.discard(subscription)
            if not feed.subscriptions:
                del self._feeds[user_id]

    def _changed(self, user_ids: Collection[UUID]) -> None:
        interesting = self._feeds.keys() & set(user_ids)
        if interesting:
            self._stale |= interesting
            self._look.set()

    def _signals_lost(self) -> None:
        self._everybody_at = float("-inf")
        self._look.set()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(max(0.0, self._everybody_at - time.monotonic())):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            # By the clock, not by the silence: signals of some users must not put off the look at all others.
            everybody = time.monotonic() >= self._everybody_at
            if everybody:
                self._everybody_at = time.monotonic() + SWEEP_SECONDS
            try:
                await self._sweep(everybody=everybody)
            except Unavailable:
                await asyncio.sleep(0.5)
            except Exception as error:
                self.log.warning("lists_sweep_failed", error=repr(error))
                await asyncio.sleep(0.5)

    async def _sweep(self, *, everybody: bool) -> None:
        stale, self._stale = self._stale, set()
        if everybody:
            # A commit may become visible late, with a time stamp older than what was seen: look back for a while.
            recent = time.monotonic() - self._look_back.total_seconds()
            stale |= {user_id for user_id, feed in self._feeds.items() if feed.changed_at > recent}
        others = [user_id for user_id in self._feeds if user_id not in stale]
        if everybody and others:
            for user_id, changed_at in (await self._sessions.last_changes(others)).items():
                feed = self._feeds.get(user_id)
                if feed is not None and changed_at is not None and changed_at > feed.newest:
                    stale.add(user_id)
        for user_id in stale:
            feed = self._feeds.get(user_id)
            if feed is not None:
                async with feed.lock:
                    await self._read(user_id, feed)

    async def _read(self, user_id: UUID, feed: _Feed) -> None:
        changed = await self._sessions.changed_since(user_id, feed.newest - self._look_back, CHANGES_AT_ONCE)
        if len(changed) == CHANGES_AT_ONCE and feed.known:
            for subscription in feed.subscriptions:
                subscription.overflowed = True  # there may be older ones: their readers begin anew
        for session in reversed(changed):
            before = feed.known.get(session.id)
            if before is None or before.updated_at != session.updated_at:
                feed.changed_at = time.monotonic()
                change = Change(_kind(before, session), session)
                for subscription in feed.subscriptions:
                    subscription.tell(change)
            feed.known[session.id] = session
            feed.newest = max(feed.newest, session.updated_at)


def _kind(before: ChatSession | None, now: ChatSession) -> ChangeKind:
    if now.deleted_at is not None:
        return "deleted"
    if before is None:
        return "created" if now.updated_at - now.created_at < CREATED_LATELY else "updated"
    return "status_changed" if before.status != now.status else "updated"
