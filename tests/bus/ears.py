"""A replica's bus and what it heard."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from uuid import UUID, uuid4

from tests.support.pooling import settings_to
from tests.support.waiting import eventually
from webedt.bus.interface import ABus, Commit, Topic
from webedt.bus.postgres import PostgresBus
from webedt.bus.redis import RedisBus
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.domain.events import NewEvent
from webedt.kernel import ServiceProvider
from webedt.telemetry.metrics import Metrics

SECRET = "a secret that all replicas of a deployment share"


class Ears:
    """A follower of `follows`, as far as it knows their logs; a commit enters only directly behind that."""

    def __init__(self, bus: PostgresBus, metrics: Metrics) -> None:
        self.bus = bus
        self.metrics = metrics
        self.heard: dict[Topic, list[set[UUID]]] = {topic: [] for topic in Topic}
        self.reconnects = 0
        self.follows: dict[UUID, int] = {}
        self.grew: list[tuple[UUID, int]] = []
        self.reads = 0
        self.commits: list[Commit] = []
        for topic in Topic:
            bus.subscribe(topic, lambda ids, topic=topic: self._hear(topic, ids))  # type: ignore[misc]
        bus.on_reconnect(self._reconnected)
        bus.follow(self)

    def all(self, topic: Topic) -> set[UUID]:
        return set().union(*self.heard[topic])

    def metric(self, name: str, **labels: str) -> float:
        found = self.metrics.registry.get_sample_value(name, {"container": "test", **labels})
        assert found is not None, name
        return found

    def grown(self, session_id: UUID, last_seq: int) -> bool:
        self.grew.append((session_id, last_seq))
        known = self.follows.get(session_id)
        if known is None or known >= last_seq:
            return False
        self.reads += 1
        self.follows[session_id] = last_seq  # as if it were read now
        return True

    def carried(self, commit: Commit) -> bool:
        self.commits.append(commit)
        if self.follows.get(commit.session_id) == commit.first_seq - 1:
            self.follows[commit.session_id] = commit.last_seq
        return commit.session_id in self.follows

    def _hear(self, topic: Topic, ids: Collection[UUID]) -> None:
        self.heard[topic].append(set(ids))

    def _reconnected(self) -> None:
        self.reconnects += 1


@contextlib.asynccontextmanager
async def replica(
    url: str, redis_url: str = "", *, secrets: Sequence[str] = (SECRET,), wait: bool = True
) -> AsyncIterator[Ears]:
    """A bus of its own: connected, and hearing Redis if it is given one, unless `wait` is off."""
    metrics = Metrics("test")
    provider = ServiceProvider()
    provider.register(ADatabase, PostgresDatabase(Settings(**settings_to(url), environment="test"), metrics))
    bus = RedisBus(uuid4(), metrics, redis_url, secrets) if redis_url else PostgresBus(uuid4(), metrics)
    provider.register(ABus, bus)
    ears = Ears(bus, metrics)
    await provider.initialize()
    try:
        await eventually(lambda: bus.connected, "the bus is connected")
        if redis_url and wait:
            await eventually(lambda: "redis" in bus.ways, "it hears Redis")
        yield ears
    finally:
        await provider.reset()


async def redis_alone(*several: Ears) -> None:
    """Return when none of them uses PostgreSQL any more."""
    for ears in several:
        await eventually(partial(_uses, ears, "redis"), "Redis alone will do")


async def postgres_alone(*several: Ears) -> None:
    for ears in several:
        await eventually(partial(_uses, ears, "postgres"), "it has noticed that there is no Redis")


def _uses(ears: Ears, way: str) -> bool:
    return ears.bus.ways == (way,)


class Session:
    """A session with one run, as its driver commits to it."""

    def __init__(self) -> None:
        self.id = uuid4()
        self.run_id = uuid4()
        self.last_seq = 0

    def commit(self, *texts: str, ended: bool = False) -> Commit:
        events = [NewEvent("text_delta", f'{{"text":"{text}"}}') for text in texts or ("word",)]
        commit = Commit(self.id, self.run_id, self.last_seq + 1, events, ended)
        self.last_seq = commit.last_seq
        return commit
