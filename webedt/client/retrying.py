"""When to try again, and when to stop trying. Decides only; whoever asks does the waiting."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from webedt.client.errors import WebEDTError


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an interruption is endured, in seconds.

    `before_accepted_seconds` holds until the server has answered once, `give_up_after_seconds` afterwards; both count
    from the first failure since things last went well. Delays grow from `base_seconds` by doubling up to `cap_seconds`.
    """

    base_seconds: float = 0.25
    cap_seconds: float = 10.0
    before_accepted_seconds: float = 15.0
    give_up_after_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Retry:
    """What a listener is told before a wait: how many attempts failed in a row, why, and how long the wait is."""

    failures: int
    delay_seconds: float
    error: WebEDTError | None


class Backoff:
    """Exponential backoff with full jitter: uniform between 0 and the doubling bound, so that readers thrown out
    together do not come back together. What the server asks for (`retry:`, `Retry-After`) is added, never undercut.
    """

    def __init__(
        self,
        patience: Patience,
        *,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._uniform = uniform
        self._failing_since: float | None = None
        self._failures = 0
        self._accepted = False

    def accepted(self) -> None:
        """The server knows about us now: the longer patience holds."""
        self._accepted = True

    def alive(self) -> None:
        """The connection works, even if it brings nothing new: the clock starts over, the delays do not."""
        self._failing_since = None

    def progress(self) -> None:
        """Something new arrived: everything starts over."""
        self._failing_since = None
        self._failures = 0

    def next_retry(self, error: WebEDTError | None, hint_seconds: float | None) -> Retry:
        """The wait before the next attempt after `error` (None: the server ended in good order).

        Raises `error` when the wait would outlast the patience.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        patience = self._patience
        bound = min(patience.cap_seconds, patience.base_seconds * 2 ** min(self._failures, 30))
        delay = (hint_seconds or 0.0) + self._uniform(0.0, bound)
        self._failures += 1
        endured = patience.give_up_after_seconds if self._accepted else patience.before_accepted_seconds
        if error is not None and now - self._failing_since + delay > endured:
            raise error
        return Retry(self._failures, delay, error)
