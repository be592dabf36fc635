"""The bus: coalesced wake-ups between replicas.

A message names what changed, never how: whoever hears it reads the database. Everything that a signal triggers is
also found by a sweep, so that a lost one costs time, never truth.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from webedt.kernel import AService


class Topic(StrEnum):
    """What the ids of a signal are."""

    EVENTS = "events"  # chat sessions whose log grew
    LISTS = "lists"  # users whose list of sessions changed
    INTERRUPTS = "interrupts"  # runs that were asked to stop
    WORK = "work"  # chat sessions where a run can be claimed
    ACCESS = "access"  # login or chat sessions that ended: streams behind them are to be checked


Handler = Callable[[Collection[UUID]], None]


class ABus(AService):
    order: ClassVar[int] = -40

    @abstractmethod
    def publish(self, topic: Topic, ids: Iterable[UUID], *, local: bool = True) -> None:
        """Tell every replica, this one at once unless `local` is false. Never blocks, never raises."""

    @abstractmethod
    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Have `handler(ids)` called on the event loop for every signal; it must be quick and not raise."""

    @abstractmethod
    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when signals come in again after they may have been lost."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether signals of other replicas come in, as a round trip through the bus has shown lately."""
