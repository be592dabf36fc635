"""Signals between replicas as text: coalesced by topic, split below the size that NOTIFY allows."""

from collections.abc import Iterable, Iterator
from uuid import UUID

import msgspec

from webedt.bus.interface import Topic

MAX_PAYLOAD_BYTES = 7900  # PostgreSQL refuses 8000 and more
IDS_PER_PAYLOAD = 200  # 35 bytes each as JSON


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sender`: instance id, so that it can skip its own. `ping`: 1 for a self-test."""

    sender: str
    topics: dict[Topic, list[UUID]] = {}
    ping: int = 0


_encoder = msgspec.json.Encoder(uuid_format="hex")


class Outbox:
    """What is still to be told. Bounded: beyond `limit` ids a topic, more are dropped, for the sweep finds them."""

    def __init__(self, sender: str, limit: int = 20_000) -> None:
        self._sender = sender
        self._limit = limit
        self._pending: dict[Topic, set[UUID]] = {}

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, topic: Topic, ids: Iterable[UUID]) -> None:
        waiting = self._pending.setdefault(topic, set())
        for item in ids:
            if len(waiting) >= self._limit:
                return
            waiting.add(item)

    def take(self) -> Iterator[str]:
        """Empty the box into payloads, each small enough for one notification."""
        pending, self._pending = self._pending, {}
        group: dict[Topic, list[UUID]] = {}
        room = IDS_PER_PAYLOAD
        for topic, ids in pending.items():
            for item in ids:
                group.setdefault(topic, []).append(item)
                room -= 1
                if not room:
                    yield encode(Signal(self._sender, group))
                    group, room = {}, IDS_PER_PAYLOAD
        if group:
            yield encode(Signal(self._sender, group))


def encode(signal: Signal) -> str:
    return _encoder.encode(signal).decode()


def decode(payload: str) -> Signal | None:
    """None for what is not ours: anybody with the database's password may notify the channel."""
    try:
        return msgspec.json.decode(payload, type=Signal)
    except (msgspec.DecodeError, ValueError):
        return None
