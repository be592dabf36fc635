"""A piece of a session's log as it goes to readers: frames encoded once, for however many of them."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from webedt.bus.interface import Commit
from webedt.domain.events import DELTAS
from webedt.domain.frames import chunked, log_frame


class Chunk:
    """The frames of the events after `after`, up to and including `last`.

    `payload` may be empty: for readers without deltas, a position can move over nothing. `ended` maps runs that end
    here to the id of their terminal event. `at`: monotonic time of the commit, or of our first knowing of it.
    """

    __slots__ = ("_wire", "after", "at", "count", "ended", "last", "origin", "payload")

    def __init__(
        self, after: int, last: int, payload: bytes, count: int, ended: Mapping[UUID, int], at: float, origin: str
    ) -> None:
        self.after = after
        self.last = last
        self.payload = payload
        self.count = count
        self.ended = ended
        self.at = at
        self.origin = origin
        self._wire: bytes | None = None

    @property
    def wire(self) -> bytes:
        """The payload as one HTTP/1.1 chunk, made once."""
        if self._wire is None:
            self._wire = chunked(self.payload)
        return self._wire


class TailKey(NamedTuple):
    """Readers of one session who want the same frames."""

    session_id: UUID
    deltas: bool


def chunk_of(commit: Commit, at: float, origin: str, *, deltas: bool) -> Chunk:
    """The chunk of a commit, of this replica (`local`) or of another one (`remote`)."""
    frames = [
        log_frame(seq, event.type, event.data)
        for seq, event in enumerate(commit.events, commit.first_seq)
        if deltas or event.type not in DELTAS
    ]
    ended = {commit.run_id: commit.last_seq} if commit.ended else {}
    return Chunk(commit.first_seq - 1, commit.last_seq, b"".join(frames), len(frames), ended, at, origin)
