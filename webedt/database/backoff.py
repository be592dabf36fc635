"""Exponential backoff with equal jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""

import random


class Backoff:
    """Delays in seconds: each drawn from the upper half of a bound that doubles until `max_seconds`; `reset` after
    success."""

    def __init__(self, base_seconds: float = 0.05, max_seconds: float = 5.0) -> None:
        self._base = base_seconds
        self._max = max_seconds
        self._tries = 0

    def next(self) -> float:
        bound = min(self._max, self._base * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return bound / 2 + random.random() * bound / 2  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        self._tries = 0
