"""What a stream says, once decoded: log events and the frames around them."""

import json
from dataclasses import dataclass
from typing import Any

from webedt.client.errors import ProtocolError
from webedt.client.sse import Frame

TERMINAL_TYPES = frozenset({"completed", "failed", "interrupted"})
"""Exactly one event of these types ends each run."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a session.

    `id` is its place in the session's log (from 1), or None for what is not in the log: `caught_up`, `reset`,
    `draining`. `data` is the JSON object of the event.
    """

    id: int | None
    type: str
    data: dict[str, Any]

    @property
    def run_id(self) -> str | None:
        """The run this event belongs to; None outside the log."""
        value = self.data.get("runId")
        return value if isinstance(value, str) else None

    @property
    def ends_run(self) -> bool:
        """Whether this is the last event of its run."""
        return self.type in TERMINAL_TYPES


def decode_event(frame: Frame) -> Event | None:
    """The event in `frame`, or None when it carries none (a bare `retry:` or `id:`). Raises ProtocolError."""
    if frame.data is None:
        return None
    try:
        data = json.loads(frame.data)
        event_id = int(frame.id) if frame.id else None
    except ValueError as error:
        raise ProtocolError(f"an event of type {frame.event!r} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ProtocolError(f"the data of an event of type {frame.event!r} is not an object")
    return Event(event_id, frame.event, data)
