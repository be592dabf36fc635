"""The bus: coalesced wake-ups between replicas, and, where the way between them is wide enough, what they are about.

A signal names what changed, never how: whoever hears it reads the database. A commit may travel whole; it is then only
a copy of what the database holds, and counts as no more than a wake-up wherever it does not fit. Everything that either
triggers is also found by a sweep, so that a lost one costs time, never truth.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol
from uuid import UUID

from webedt.domain.events import NewEvent
from webedt.kernel import AService


class Topic(StrEnum):
    """What the ids of a signal are."""

    EVENTS = "events"  # chat sessions whose log grew
    LISTS = "lists"  # users whose list of sessions changed
    INTERRUPTS = "interrupts"  # runs that were asked to stop
    WORK = "work"  # chat sessions where a run can be claimed
    ACCESS = "access"  # login or chat sessions that ended: streams behind them are to be checked


class Commit(NamedTuple):
    """Events of one run that are durable, as the database has numbered them. `ended`: the last one ends the run."""

    session_id: UUID
    run_id: UUID
    first_seq: int
    events: Sequence[NewEvent]
    ended: bool

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.events) - 1


class Follower(Protocol):
    """Who follows logs on this replica. Both methods are called on the event loop, must be quick and must not raise."""

    def grown(self, session_id: UUID, last_seq: int) -> bool:
        """The log of the session goes that far, or farther. Returns whether that is news to somebody here."""
        ...

    def carried(self, commit: Commit) -> bool:
        """Another replica has committed this. Returns whether anybody here follows the session."""
        ...


Handler = Callable[[Collection[UUID]], None]


class ABus(AService):
    order: ClassVar[int] = -40

    @abstractmethod
    def publish(self, topic: Topic, ids: Iterable[UUID], *, local: bool = True) -> None:
        """Tell every replica, this one at once unless `local` is false. Never blocks, never raises."""

    @abstractmethod
    def carry(self, commits: Sequence[Commit]) -> None:
        """Tell the other replicas that the logs of these sessions grew, and how if there is a way to. Only after the
        commit was acknowledged, and only with the ids that the database gave. Never blocks, never raises."""

    @abstractmethod
    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Have `handler(ids)` called on the event loop for every signal; it must be quick and not raise."""

    @abstractmethod
    def follow(self, follower: Follower) -> None:
        """Have `follower` hear of every commit of other replicas. There is one: the tails."""

    @abstractmethod
    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when signals come in again after they may have been lost."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether signals of other replicas come in, as a round trip through the bus has shown lately."""

    @property
    @abstractmethod
    def ways(self) -> Sequence[str]:
        """By which of `postgres` and `redis` signals go out now."""
