"""The other replicas as this one hears them through PostgreSQL, once a second: who lives, and who hears Redis."""

import time

GONE_AFTER_SECONDS = 3.5
KNOWN_AFTER_SECONDS = 2.5  # of listening: whoever lives has been heard by then


class Peers:
    def __init__(self, myself: str) -> None:
        self._myself = myself
        self._listening_since = float("inf")
        self._heard: dict[str, tuple[float, bool]] = {}

    def begin(self) -> None:
        """From now on pings are heard."""
        self._listening_since = time.monotonic()

    def pinged(self, sender: str, *, hears_redis: bool) -> None:
        if sender != self._myself:
            self._heard[sender] = (time.monotonic(), hears_redis)

    @property
    def living(self) -> int:
        """How many others there are."""
        self._forget_the_gone()
        return len(self._heard)

    @property
    def all_hear_redis(self) -> bool:
        """Whether Redis alone will do. Not as long as others may live who have not been heard yet."""
        self._forget_the_gone()
        return self._all_known and all(hears for _, hears in self._heard.values())

    @property
    def none_live(self) -> bool:
        """Whether there is nobody else, and we have listened for long enough to know."""
        self._forget_the_gone()
        return self._all_known and not self._heard

    @property
    def _all_known(self) -> bool:
        return time.monotonic() - self._listening_since > KNOWN_AFTER_SECONDS

    def _forget_the_gone(self) -> None:
        before = time.monotonic() - GONE_AFTER_SECONDS
        for sender in [one for one, (heard_at, _) in self._heard.items() if heard_at < before]:
            del self._heard[sender]
