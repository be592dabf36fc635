"""What a run writes through: an idempotent producer with a bounded buffer.

Invariant: the events of one producer carry ordinals 1, 2, 3, … under one fence. An `Entry` is a run of them that was
sent together; as long as it is unanswered it is sent again unchanged and nothing newer is sent, so that the head's
ordinal tells for certain whether it was stored.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from webedt.domain.events import NewEvent
from webedt.domain.runs import Outcome

MAX_GATHERED_EVENTS = 1000
MAX_GATHERED_BYTES = 256 * 1024


class ProducerClosed(Exception):
    """Nothing more can be appended through this producer."""


class StaleFence(ProducerClosed):
    """Another replica drives the run now, or it was ended: stop, and touch nothing."""


class EntryRefused(ProducerClosed):
    """The database refuses the content of this run's events; others are not affected."""


class LogDefect(ProducerClosed):
    """The head shows an ordinal that no interleaving allows. A bug: the run is stopped, not guessed at."""


class Entry(NamedTuple):
    """Events of one run that are sent together and, until answered, never changed."""

    producer: "RunLog"
    first_ordinal: int
    events: Sequence[NewEvent]
    checkpoint: str | None
    provider_state: str | None
    outcome: Outcome | None

    @property
    def last_ordinal(self) -> int:
        return self.first_ordinal + len(self.events) - 1


class RunLog:
    """The log of one claimed run. `ready` is called when there is something for the writer to take."""

    def __init__(self, session_id: UUID, run_id: UUID, fence: int, ready: Callable[["RunLog"], None]) -> None:
        self.session_id = session_id
        self.run_id = run_id
        self.fence = fence
        self.in_flight: Entry | None = None
        self._ready = ready
        self._gathered: list[NewEvent] = []
        self._gathered_bytes = 0
        self._checkpoint: str | None = None
        self._provider_state: str | None = None
        self._outcome: Outcome | None = None
        self._next_ordinal = 1
        self._acknowledged = 0
        self._awaited: dict[int, asyncio.Future[int]] = {}
        self._changed = asyncio.Event()
        self._failure: ProducerClosed | None = None
        self.closed = asyncio.Event()
        self.skipped = 0

    # The run's side --------------------------------------------------------------------------------------------------

    async def append(
        self,
        events: Sequence[NewEvent],
        *,
        checkpoint: str | None = None,
        provider_state: str | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Hand events to the writer; waits while the buffer is full, not for the commit.

        `checkpoint` (JSON) is what the provider may continue from once exactly these events and those before are in
        the log: it is committed with them, or alone when `events` is empty. `outcome` ends the run; its terminal event
        is the last of `events`.
        Raises `ProducerClosed` (see its kinds) once nothing more can be appended.
        """
        while self._failure is None and self._full:
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        if self._outcome is not None:
            raise ProducerClosed("the run has ended")
        self._gathered.extend(events)
        self._gathered_bytes += sum(len(event.data) for event in events)
        self._checkpoint = checkpoint or self._checkpoint
        self._provider_state = provider_state or self._provider_state
        self._outcome = outcome
        if self.in_flight is None:
            self._ready(self)

    async def flush(self) -> None:
        """Return when everything handed over is durable. Raises `ProducerClosed` when it never will be."""
        last = self.handed_over
        while self._failure is None and (self._acknowledged < last or self._unsaved):
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None and (self._acknowledged < last or self._unsaved):
            raise self._failure

    def expect_seq(self, ahead: int = 0) -> asyncio.Future[int]:
        """A future for the id of the next event to be appended (or of one `ahead` behind it), known once committed."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[self.handed_over + 1 + ahead] = future
        return future

    @property
    def handed_over(self) -> int:
        """The ordinal of the last event handed over."""
        return self._next_ordinal - 1 + len(self._gathered)

    @property
    def failure(self) -> ProducerClosed | None:
        return self._failure

    @property
    def _unsaved(self) -> bool:
        """A checkpoint or state of its own is still to be stored."""
        entry = self.in_flight
        return bool(self._checkpoint or self._provider_state) or (entry is not None and not entry.events)

    @property
    def _full(self) -> bool:
        return len(self._gathered) >= MAX_GATHERED_EVENTS or self._gathered_bytes >= MAX_GATHERED_BYTES

    # The writer's side -----------------------------------------------------------------------------------------------

    def take(self) -> Entry | None:
        """The entry to send: the unanswered one, unchanged, or else all that has gathered. None: nothing."""
        if self.in_flight is None and self._failure is None and (self._gathered or self._unsaved):
            events, self._gathered, self._gathered_bytes = self._gathered, [], 0
            self.in_flight = Entry(
                self, self._next_ordinal, events, self._checkpoint, self._provider_state, self._outcome
            )
            self._next_ordinal += len(events)
            self._checkpoint = self._provider_state = None
            self._changed.set()
        return self.in_flight

    def acknowledge(self, entry: Entry, first_seq: int) -> None:
        """`entry` is durable; its first event has the id `first_seq`."""
        self.in_flight = None
        self.skipped = 0
        self._acknowledged = entry.last_ordinal
        if self._awaited:
            for ordinal in [one for one in self._awaited if one <= entry.last_ordinal]:
                future = self._awaited.pop(ordinal)
                if not future.done():
                    future.set_result(first_seq + ordinal - entry.first_ordinal)
        self._changed.set()
        if self._gathered or self._unsaved:
            self._ready(self)

    def fail(self, failure: ProducerClosed) -> None:
        """Nothing of this producer will be appended any more. Idempotent; the first reason stays."""
        if self._failure is None:
            self._failure = failure
            self.closed.set()
        self.in_flight = None
        self._gathered.clear()
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(self._failure)
                future.exception()  # whoever asks is told; nobody need ask
        self._awaited.clear()
        self._changed.set()
