"""A circuit breaker for one upstream: who has failed many times in a row is left alone for a while.

It guards what we do unasked (the background sync). A person's prompt is always tried: it fails by itself if it has to,
and when it succeeds everybody knows that the upstream is back.
Source of the pattern: Michael Nygard, Release It!, "Circuit Breaker".
"""

import time
from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")
FAILURES = 5
OPEN_SECONDS = 30.0


class CircuitBreaker:
    """Opens after `failures` in a row; after `open_seconds` one caller may try, and its outcome decides."""

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trying_since: float | None = None

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return "closed"
        return "open" if self._clock() < self._opened_at + self._open_seconds else "half_open"

    @property
    def failures(self) -> int:
        """In a row, so far."""
        return self._failures

    def allows(self) -> bool:
        """Whether to call now. While half open only one caller is let through, until it has reported."""
        match self.state:
            case "closed":
                return True
            case "open":
                return False
        now = self._clock()
        if self._trying_since is not None and now < self._trying_since + self._open_seconds:
            return False
        self._trying_since = now
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._opened_at = self._trying_since = None

    def failed(self) -> None:
        """The upstream did not answer, or said that it cannot. (A refused key is an answer: not a failure.)"""
        self._failures += 1
        self._trying_since = None
        if self._opened_at is not None or self._failures >= self._limit:
            self._opened_at = self._clock()
