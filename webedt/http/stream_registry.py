"""All open streams of this replica: how many a user or a share link may have, keep-alives, who may still read, and the
end at shutdown.
"""

import asyncio
import contextlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Coroutine, Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from webedt.bus.interface import ABus, Topic
from webedt.domain.errors import RateLimited, Unavailable
from webedt.domain.users import PassHolder
from webedt.kernel import AService, Background, BaseService
from webedt.services.access import AAccess
from webedt.telemetry.metrics import Metrics

T = TypeVar("T")

KEEP_ALIVE_SECONDS = 15
ACCESS_SWEEP_SECONDS = 1.5
DRAINED_SECONDS = 5.0
CUT_SECONDS = 1.0
KINDS = ("resume", "follow", "shared", "execute", "updates", "poll")


class OpenStream(Protocol):
    """What the registry may do to a stream; on the event loop, quick, not raising."""

    def keep_alive(self) -> None:
        """Write a comment, unless something is waiting to be written anyway."""
        ...

    def finish(self, *, draining: bool) -> None:
        """End cleanly; `draining`: say so, and when to come back."""
        ...

    def cut(self) -> None:
        """End at once, without a word."""
        ...


class AStreams(AService):
    order: ClassVar[int] = 100

    sent: int
    """Events written to readers; streams add to it, the metric follows at scrape."""

    @abstractmethod
    def admitted(self, who: PassHolder) -> AbstractContextManager["Place"]:
        """Count one stream of the user's, or of the share link's, for a block, which begins before the stream does:
        many that come at once are all counted. A stream that outlives the block has the place `hold` it. Raises
        `Unavailable` while draining and `RateLimited` when the user or the link has too many."""

    @abstractmethod
    def opened(self, stream: OpenStream, who: PassHolder, kind: str) -> AbstractContextManager[None]:
        """Keep `stream` among the open ones for a block. `kind`: one of `KINDS`."""

    @abstractmethod
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of a stream that has no handler any more."""

    @abstractmethod
    async def outlive(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`; should the client leave meanwhile, it is carried to its end all the same."""

    @abstractmethod
    async def drain(self) -> None:
        """End all streams cleanly and refuse new ones."""

    @property
    @abstractmethod
    def active(self) -> int: ...


class Streams(BaseService, AStreams):
    def __init__(self, metrics: Metrics, max_per_holder: int) -> None:
        self._metrics = metrics
        self._max_per_holder = max_per_holder
        self._wheel: list[dict[OpenStream, UUID]] = [{} for _ in range(KEEP_ALIVE_SECONDS)]
        self._hand = 0
        self._kinds: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self._held: Counter[UUID] = Counter()
        self._draining = False
        self._look = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._background = Background()
        self._outliving = Background()
        self._working = Background()
        self.sent = 0
        self._reported = 0

    async def initialize(self) -> None:
        self._access = self.services.get(AAccess)
        bus = self.services.get(ABus)
        bus.subscribe(Topic.ACCESS, self._access_changed)
        self._metrics.observe(self._observe)
        for reason in ("limit", "draining"):
            self._metrics.streams_refused.begin(reason)
        self._background.start("keep-alives", self._turn_wheel())
        self._background.start("stream-access", self._check_access_for_ever())

    async def dispose(self) -> None:
        await self._background.stop()
        await self._cut_off()
        await self._outliving.drain(DRAINED_SECONDS)
        await self._outliving.stop()
        await super().dispose()

    @property
    def active(self) -> int:
        return sum(len(slot) for slot in self._wheel)

    def admitted(self, who: PassHolder) -> AbstractContextManager["Place"]:
        return Place(self, who)

    @contextlib.contextmanager
    def opened(self, stream: OpenStream, who: PassHolder, kind: str) -> Iterator[None]:
        slot = self.put(stream, who.pass_id, kind)
        try:
            yield
        finally:
            self.take(stream, kind, slot)

    def count_in(self, holder_id: UUID) -> None:
        if self._draining:
            self._metrics.streams_refused.inc(1, "draining")
            raise Unavailable("This replica is shutting down; ask again.", retry_after_seconds=1)
        if self._held[holder_id] >= self._max_per_holder:
            self._metrics.streams_refused.inc(1, "limit")
            raise RateLimited(f"At most {self._max_per_holder} streams at a time.", retry_after_seconds=5)
        self._held[holder_id] += 1

    def count_out(self, holder_id: UUID) -> None:
        self._held[holder_id] -= 1
        if not self._held[holder_id]:
            del self._held[holder_id]

    def put(self, stream: OpenStream, pass_id: UUID, kind: str) -> dict[OpenStream, UUID]:
        """Returns the slot that the stream stands in."""
        # The slot just passed: its turn comes in a full round, so the first keep-alive after 15 s.
        slot = self._wheel[self._hand - 1]
        slot[stream] = pass_id
        self._kinds[kind] += 1
        if self._draining:
            stream.finish(draining=True)
        return slot

    def take(self, stream: OpenStream, kind: str, slot: dict[OpenStream, UUID]) -> None:
        del slot[stream]
        self._kinds[kind] -= 1
        if not self.active:
            self._all_gone.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._working.start("stream", work)

    async def outlive(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._outliving.carry("outlive", work)

    async def drain(self) -> None:
        self._draining = True
        self._all_gone.clear()
        for slot in self._wheel:
            for stream in list(slot):
                stream.finish(draining=True)
        if self.active:
            try:
                async with asyncio.timeout(DRAINED_SECONDS):
                    await self._all_gone.wait()
            except TimeoutError:
                self.log.warning("streams_not_drained", streams=self.active)

    async def _cut_off(self) -> None:
        """What is still open now has had its time: log streams have no handler that the server could end."""
        self._draining = True
        self._all_gone.clear()
        for slot in self._wheel:
            for stream in list(slot):
                stream.cut()
        if self.active:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CUT_SECONDS):
                    await self._all_gone.wait()
        await self._working.stop()

    async def _turn_wheel(self) -> None:
        """One task for all keep-alives: each second those of one slot, so that a stream has one every 15 s."""
        while True:
            await asyncio.sleep(1)
            self._hand = (self._hand + 1) % KEEP_ALIVE_SECONDS
            for stream in list(self._wheel[self._hand]):
                stream.keep_alive()

    def _access_changed(self, _ids: Collection[UUID]) -> None:
        self._look.set()

    async def _check_access_for_ever(self) -> None:
        """One question for all open streams: which logins and share links behind them hold? The others end (G9)."""
        while True:
            try:
                async with asyncio.timeout(ACCESS_SWEEP_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            behind = {pass_id for slot in self._wheel for pass_id in slot.values()}
            if not behind:
                continue
            try:
                valid = await self._access.still_valid(list(behind))
            except Exception as error:
                # Nobody is thrown out because the database cannot be asked; it is asked again.
                self.log.debug("access_not_checked", error=repr(error))
                await asyncio.sleep(0.5)
                continue
            for slot in self._wheel:
                for stream, pass_id in list(slot.items()):
                    if pass_id in behind and pass_id not in valid:
                        stream.finish(draining=False)

    def _observe(self) -> None:
        for kind, count in self._kinds.items():
            self._metrics.streams.set(count, kind)
        self._metrics.events_sent.inc(self.sent - self._reported)
        self._reported = self.sent


class Place:
    """One stream among those of its user or link, counted from before it begins: for a block, or until `leave` once
    `hold` has put it among the open ones."""

    __slots__ = ("_holder_id", "_kind", "_pass_id", "_slot", "_stream", "_streams")

    def __init__(self, streams: Streams, who: PassHolder) -> None:
        self._streams = streams
        self._holder_id = who.counts_as
        self._pass_id = who.pass_id
        self._stream: OpenStream | None = None

    def hold(self, stream: OpenStream, kind: str) -> None:
        self._stream, self._kind = stream, kind
        self._slot = self._streams.put(stream, self._pass_id, kind)

    def leave(self) -> None:
        if self._stream is not None:
            self._streams.take(self._stream, self._kind, self._slot)
            self._stream = None
        self._streams.count_out(self._holder_id)

    def __enter__(self) -> "Place":
        self._streams.count_in(self._holder_id)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._stream is None:
            self._streams.count_out(self._holder_id)
