"""Signals between replicas as text: coalesced by topic, split below the size that NOTIFY allows."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import msgspec

from webedt.bus.interface import Topic

MAX_PAYLOAD_BYTES = 7900  # PostgreSQL refuses 8000 and more
IDS_BYTES = 7000  # of these: ids, and how far logs go
ID_BYTES = 35

# For each topic what changed; of a session whose log grew also how far it goes, or 0: whoever hears of it has to read.
Pending = dict[Topic, dict[UUID, int]]


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sender`: instance id, so that it can skip its own. `last_seqs`: beside the ids of `events`, see `Pending`.

    `ping`: 1 for a self-test. `hears_redis` goes with a ping: 1 if this replica hears what is said there.
    """

    sender: str
    topics: dict[Topic, list[UUID]] = {}
    last_seqs: list[int] = []
    ping: int = 0
    hears_redis: int = 0


_encoder = msgspec.json.Encoder(uuid_format="hex")


class Outbox:
    """What is still to be told. Bounded: beyond `limit` ids a topic, more are dropped, for the sweep finds them.

    `filled` is set whenever something was put in.
    """

    def __init__(self, sender: str, limit: int = 20_000) -> None:
        self.filled = asyncio.Event()
        self._sender = sender
        self._limit = limit
        self._pending: Pending = {}

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, topic: Topic, ids: Iterable[UUID]) -> None:
        waiting = self._pending.setdefault(topic, {})
        for item in ids:
            if item not in waiting and len(waiting) >= self._limit:
                break
            waiting[item] = 0
        self.filled.set()

    def grow(self, session_id: UUID, last_seq: int) -> None:
        """The log of the session goes that far. Who is to read in any case still is."""
        waiting = self._pending.setdefault(Topic.EVENTS, {})
        known = waiting.get(session_id)
        if known is None and len(waiting) >= self._limit:
            return
        waiting[session_id] = 0 if known == 0 else max(last_seq, known or 0)
        self.filled.set()

    def merge(self, pending: Pending) -> None:
        """Put in what was taken out of another one."""
        for topic, ids in pending.items():
            for item, last_seq in ids.items():
                if last_seq:
                    self.grow(item, last_seq)
                else:
                    self.add(topic, (item,))

    def take(self) -> Pending:
        """Empty the box."""
        pending, self._pending = self._pending, {}
        return pending

    def payloads(self, pending: Pending) -> Iterator[str]:
        """What was taken, as texts each small enough for one notification."""
        return _payloads(self._sender, pending)


def _payloads(sender: str, pending: Mapping[Topic, Mapping[UUID, int]]) -> Iterator[str]:
    group: dict[Topic, list[UUID]] = {}
    last_seqs: list[int] = []
    room = IDS_BYTES
    for topic, ids in pending.items():
        for item, last_seq in ids.items():
            group.setdefault(topic, []).append(item)
            room -= ID_BYTES
            if topic is Topic.EVENTS:
                last_seqs.append(last_seq)
                room -= len(str(last_seq)) + 1
            if room < 2 * ID_BYTES:
                yield encode(Signal(sender, group, last_seqs))
                group, last_seqs, room = {}, [], IDS_BYTES
    if group:
        yield encode(Signal(sender, group, last_seqs))


def encode(signal: Signal) -> str:
    return _encoder.encode(signal).decode()


def decode(payload: str | bytes) -> Signal | None:
    """None for what is not ours: anybody with the database's password may notify the channel."""
    try:
        return msgspec.json.decode(payload, type=Signal)
    except (msgspec.DecodeError, ValueError):
        return None
