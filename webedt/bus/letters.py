"""What one replica tells another one alone: commits that it asked for, and which sessions it wants or wants no more.

Who follows a session asks its driver for the commits when it hears of one that it did not get; who gets commits of a
session that nobody follows there any more says so. Neither is remembered for certain, nor needs to be: whoever gets too
little reads the database, and asks again.
"""

import time
from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec

from webedt.bus.interface import Commit

MAX_COMMIT_BYTES = 512 * 1024
MAX_LETTER_BYTES = 256 * 1024
MAX_WAITING_BYTES = 4 * 1024 * 1024
FORGET_SECONDS = 60.0


class Letter(msgspec.Struct, array_like=True):
    """`commits`: each encoded by itself. `wanted`, `unwanted`: sessions. `ping`: 1 for a self-test."""

    sender: str
    commits: list[msgspec.Raw] = []
    wanted: list[UUID] = []
    unwanted: list[UUID] = []
    ping: int = 0


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_letters = msgspec.msgpack.Decoder(Letter)
_commits = msgspec.msgpack.Decoder(Commit)


def encode_commit(commit: Commit) -> bytes:
    return _encoder.encode(commit)


def encode_letter(letter: Letter) -> bytes:
    return _encoder.encode(letter)


def decode_commit(raw: msgspec.Raw) -> Commit | None:
    try:
        return _commits.decode(raw)
    except (msgspec.DecodeError, ValueError):
        return None


def decode_letter(message: bytes) -> Letter | None:
    """None for what this version cannot read."""
    try:
        return _letters.decode(message)
    except (msgspec.DecodeError, ValueError):
        return None


class Mail:
    """Letters that are still to be sent. Bounded: more commits are not taken, for their signal goes out anyway."""

    def __init__(self, sender: str) -> None:
        self._sender = sender
        self._commits: dict[str, list[bytes]] = {}
        self._waiting_bytes = 0
        self._wishes: dict[str, dict[UUID, bool]] = {}
        self._ping_due = False

    def ping(self) -> None:
        """A letter to ourselves."""
        self._ping_due = True

    def ask(self, whom: str, session_id: UUID) -> None:
        """For its commits of the session from now on."""
        self._wishes.setdefault(whom, {})[session_id] = True

    def decline(self, whom: str, session_id: UUID) -> None:
        """No more of them."""
        self._wishes.setdefault(whom, {})[session_id] = False

    def add_commit(self, whom: str, commit: bytes) -> bool:
        """Returns whether it was taken."""
        if len(commit) > MAX_COMMIT_BYTES or self._waiting_bytes + len(commit) > MAX_WAITING_BYTES:
            return False
        self._commits.setdefault(whom, []).append(commit)
        self._waiting_bytes += len(commit)
        return True

    def take(self) -> Iterator[tuple[str, Letter]]:
        """Empty the box: to whom, and what."""
        commits, self._commits, self._waiting_bytes = self._commits, {}, 0
        wishes, self._wishes = self._wishes, {}
        if self._ping_due:
            self._ping_due = False
            yield self._sender, Letter(self._sender, ping=1)
        for whom, sessions in wishes.items():
            wanted = [session_id for session_id, wish in sessions.items() if wish]
            yield whom, Letter(self._sender, wanted=wanted, unwanted=[one for one in sessions if not sessions[one]])
        for whom, several in commits.items():
            for group in _grouped(several):
                yield whom, Letter(self._sender, commits=[msgspec.Raw(commit) for commit in group])


def _grouped(commits: Sequence[bytes]) -> Iterator[list[bytes]]:
    """As many in a letter as it may hold, one at least, in their order."""
    group: list[bytes] = []
    size = 0
    for commit in commits:
        if group and size + len(commit) > MAX_LETTER_BYTES:
            yield group
            group, size = [], 0
        group.append(commit)
        size += len(commit)
    yield group


class Wanted:
    """Which replicas have asked for the commits of which sessions."""

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._replicas: dict[UUID, set[str]] = {}
        self._used_at: dict[UUID, float] = {}

    def __len__(self) -> int:
        return len(self._replicas)

    def of(self, session_id: UUID) -> tuple[str, ...]:
        replicas = self._replicas.get(session_id)
        if not replicas:
            return ()
        self._used_at[session_id] = time.monotonic()
        return tuple(replicas)

    def add(self, session_id: UUID, replica: str) -> None:
        if len(self._replicas) < self._limit or session_id in self._replicas:
            self._replicas.setdefault(session_id, set()).add(replica)
            self._used_at[session_id] = time.monotonic()

    def remove(self, session_id: UUID, replica: str) -> None:
        replicas = self._replicas.get(session_id, set())
        replicas.discard(replica)
        if not replicas:
            self.forget(session_id)

    def forget(self, session_id: UUID) -> None:
        """Its run is over, or it has long been quiet: whoever follows the next one asks again."""
        self._replicas.pop(session_id, None)
        self._used_at.pop(session_id, None)

    def forget_replica(self, replica: str) -> None:
        """It hears nothing any more."""
        for session_id in [one for one, replicas in self._replicas.items() if replica in replicas]:
            self.remove(session_id, replica)

    def forget_quiet(self) -> None:
        """Sessions that are driven elsewhere by now would stand here for ever."""
        before = time.monotonic() - FORGET_SECONDS
        for session_id in [one for one, used_at in self._used_at.items() if used_at < before]:
            self.forget(session_id)

    def clear(self) -> None:
        self._replicas.clear()
        self._used_at.clear()
