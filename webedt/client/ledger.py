"""Whether a reader gets every event of a log, once and in order. Pure: no I/O.

Ids are 1, 2, 3, … Compaction may remove the deltas of a finished message; ids then jump, and the `message` behind the
gap explains it: its `replacesFrom` is at or below the first id that is missing. So an event behind a gap is held back
until such a message comes. Where there is none, something lost events on the way.
"""

from webedt.client.errors import MissingEvents
from webedt.client.events import Event


class Ledger:
    """Lets each event through once; what was held back comes with the event that explains it.

    A cursor of None is not known yet: the first event sets it.
    """

    def __init__(self, cursor: int | None) -> None:
        self.restart(cursor)

    def restart(self, cursor: int | None) -> None:
        """Another connection, which was asked for the events after `cursor`."""
        self._last = cursor
        self._held: list[Event] = []
        self._gaps: list[int] = []
        self._is_live = False

    def take(self, event: Event) -> list[Event]:
        """What the reader may have now, in order. Raises MissingEvents: live, nothing is compacted that a reader has
        not been given, so a gap needs no later event to be judged."""
        if event.id is None:
            return [event]
        if self._last is not None and event.id <= self._last:
            return []
        good = self._good
        if self._last is not None and event.id > self._last + 1:
            self._gaps.append(self._last + 1)
        self._last = event.id
        replaces_from = event.data.get("replacesFrom") if event.type == "message" else None
        if isinstance(replaces_from, int):
            self._gaps = [first for first in self._gaps if first < replaces_from]
        self._held.append(event)
        if not self._gaps:
            released, self._held = self._held, []
            return released
        if self._is_live:
            raise MissingEvents(good, event.id)
        return []

    def settle(self, last_id: int) -> None:
        """The replay is over and went up to `last_id`. Raises MissingEvents."""
        if self._gaps:
            raise MissingEvents(self._good, self._held[0].id or 0)
        if self._last is not None and last_id > self._last:
            raise MissingEvents(self._last, last_id + 1)
        self._is_live = True

    @property
    def _good(self) -> int:
        return self._gaps[0] - 1 if self._gaps else self._last or 0
