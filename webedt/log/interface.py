"""What the rest of the program may ask of the log."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

from webedt.kernel import AService
from webedt.log.producer import RunLog


class AEventWriter(AService):
    order: ClassVar[int] = -10

    @abstractmethod
    def open(self, session_id: UUID, run_id: UUID, fence: int) -> RunLog:
        """The log of a run claimed under `fence`."""

    @abstractmethod
    def on_ended(self, callback: Callable[[UUID, int], None]) -> None:
        """Have `callback(session_id, queued_runs)` called after a commit that ended a run."""
