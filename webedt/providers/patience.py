"""How long a provider waits for its upstream, and for nothing else.

`asyncio.timeout` sets and cancels a timer for each wait: 5 µs, of 20 that a chunk costs otherwise. Here one timer stays
and looks, when it comes due, whether somebody has waited for too long.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """For one wait at a time. `close` when there will be no more."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._due = 0.0
        self._expired = False

    async def wait(self, awaitable: Awaitable[T], due: float) -> T:
        """Await it, until `due` by the clock of the loop. Raises TimeoutError."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        cancelled_by_others = task.cancelling()
        if self._timer is None or due < self._timer.when():
            self._look_at(due)
        self._waiting, self._due = task, due
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._expired:
                self._expired = False
                # As `asyncio.timeout` does: whoever else cancelled the task meanwhile is to be obeyed.
                if task.uncancel() <= cancelled_by_others:
                    raise TimeoutError from None
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_at(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # the next wait sets the timer again
        if self._loop.time() < self._due:
            self._look_at(self._due)
        else:
            # The task is suspended in `wait`: even if what it waits for has just come, it wakes with the cancellation.
            self._expired = True
            self._waiting.cancel()
