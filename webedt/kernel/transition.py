"""One start or stop in progress, and how others wait for it.

Owns the hand-over of an outcome between tasks. Must not know what is being started or stopped.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from webedt.kernel.errors import ServiceStateError


class State(StrEnum):
    """Where a provider is in its life."""

    IDLE = "idle"
    INITIALIZING = "initializing"
    READY = "ready"
    RESETTING = "resetting"


class Transition:
    """A start or stop that one task carries out while others may join."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.abandoned = False
        self._owner = asyncio.current_task()
        self._outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def join(self, *, abandon: bool = False) -> BaseException | None:
        """Wait for the end: None if it went well, else what it raised. Cancelling one who waits harms no one else.

        With `abandon`, the owner is asked to give up at the next point where it can.
        """
        if asyncio.current_task() is self._owner:
            raise ServiceStateError(f"a service that is {self.state} cannot initialize or reset its own provider")
        self.abandoned |= abandon
        # wait() and not a bare await: that would hand a waiter's cancellation on to the shared future.
        await asyncio.wait([self._outcome])
        return self._outcome.result()

    def finish(self, outcome: BaseException | None) -> None:
        self._outcome.set_result(outcome)
