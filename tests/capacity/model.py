"""Load against capacity, resource by resource, for a workload on a deployment. Pure: prices in, utilisations out.

Everything is a mean over a second, of load that is spread evenly. A resource at 70 % counts as full: what comes in
bursts then still finds room. What a replica does by itself, without anybody asking, is taken from the code (how often
it sweeps, pings and keeps alive), what that costs from the prices.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tests.capacity.measured import Prices
from webedt.bus.postgres import COALESCE_SECONDS, PING_EVERY_SECONDS
from webedt.bus.signals import ID_BYTES, IDS_BYTES
from webedt.http.stream_registry import ACCESS_SWEEP_SECONDS, KEEP_ALIVE_SECONDS
from webedt.log.tails import SWEEP_SECONDS as TAILS_SWEEP_SECONDS
from webedt.services.execution import SWEEP_SECONDS as RUNS_SWEEP_SECONDS

FULL = 0.7
MOST_REPLICAS = 20_000
DEDICATED_CONNECTIONS = 5
PRICED_EVENT_BYTES = 150  # what the events of the benchmarks weigh


@dataclass(frozen=True, kw_only=True)
class Workload:
    """`live_share` of the streams follow a running session, `readers_per_session` each; the others wait, each at a
    session of its own. `unwatched_sessions` run and nobody reads."""

    streams: int
    live_share: float = 0.1
    readers_per_session: float = 1.0
    unwatched_sessions: float = 0.0
    events_per_session_second: float = 30.0
    event_bytes: float = PRICED_EVENT_BYTES

    @property
    def live_streams(self) -> float:
        return self.streams * self.live_share

    @property
    def idle_streams(self) -> float:
        return self.streams - self.live_streams

    @property
    def watched_sessions(self) -> float:
        return self.live_streams / self.readers_per_session

    @property
    def running_sessions(self) -> float:
        return self.watched_sessions + self.unwatched_sessions

    @property
    def events_per_second(self) -> float:
        return self.running_sessions * self.events_per_session_second


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """`replicas`: 0 for as many as it takes. Any reader may be on any replica. What the measurements say nothing about
    is here, to be set: cores of the database, its disk, memory, limits of connections and sockets.
    `appends_per_second`: 0 for as many as were measured."""

    replicas: int = 0
    bus: Literal["notify", "redis"] = "notify"
    database_cores: float = 32
    disk_wal_bytes_per_second: float = 200e6
    replica_memory_bytes: float = 2 * 2**30
    replica_sockets: int = 60_000
    pool_connections: int = 20
    max_connections: int = 500
    appends_per_second: float = 0


@dataclass(frozen=True)
class Resource:
    """`each`: of every replica, so that more replicas divide it; the others are shared by all."""

    name: str
    unit: str
    load: float
    capacity: float
    each: bool = False

    @property
    def utilisation(self) -> float:
        return self.load / self.capacity


@dataclass(frozen=True)
class Verdict:
    """`replicas`: how many it takes, or how many there are; `enough`: whether that many can do it at all."""

    replicas: int
    enough: bool
    resources: Sequence[Resource]

    @property
    def bottleneck(self) -> Resource:
        """Of what is shared: that is what more replicas do not mend. A replica's own, if there are too few."""
        return max((one for one in self.resources if not one.each or not self.enough), key=lambda one: one.utilisation)


def verdict(workload: Workload, deployment: Deployment, prices: Prices) -> Verdict:
    if deployment.replicas:
        resources = loads(workload, deployment, prices)
        return Verdict(deployment.replicas, _enough(resources), resources)
    best: tuple[float, Verdict] | None = None
    replicas = 1
    while replicas <= MOST_REPLICAS:
        resources = loads(workload, replace(deployment, replicas=replicas), prices)
        if _enough(resources):
            return Verdict(replicas, True, resources)
        fullest = max(one.utilisation for one in resources if one.each)
        if best is None or fullest < best[0]:
            best = fullest, Verdict(replicas, False, resources)
        replicas = max(replicas + 1, math.ceil(replicas * 1.02))
    assert best is not None
    return best[1]


def _enough(resources: Sequence[Resource]) -> bool:
    return all(one.utilisation <= FULL for one in resources if one.each)


def commits_per_second(events_per_second: float, append_seconds: float) -> float:
    """Of one replica, whose next batch gathers while one append is in flight: each event its own append while there are
    few, one append after the other when there are many."""
    return events_per_second / (1 + events_per_second * append_seconds)


def loads(workload: Workload, deployment: Deployment, prices: Prices) -> list[Resource]:
    replicas = deployment.replicas
    events = workload.events_per_second
    commits = replicas * commits_per_second(events / replicas, prices.append_seconds)
    followers = following_replicas(workload.readers_per_session, replicas)
    # Of each event that is read: on how many other replicas than the one that drives its session.
    elsewhere = followers * (1 - 1 / replicas)
    carried = workload.watched_sessions * workload.events_per_session_second * elsewhere
    deliveries = workload.live_streams * workload.events_per_session_second
    signals = replicas * _signals_per_second(workload, replicas, commits / replicas) if replicas > 1 else 0.0
    keep_alives = workload.idle_streams / KEEP_ALIVE_SECONDS
    tails = workload.idle_streams + workload.watched_sessions * followers
    reads = carried if deployment.bus == "notify" else 0.0
    notifications = (signals if deployment.bus == "notify" else 0.0) + replicas / PING_EVERY_SECONDS
    replica_us = (
        events * (prices.replica_event_us + prices.replica_appended_us)
        + commits * prices.replica_append_us
        + (deliveries + keep_alives) * prices.replica_delivery_us
        + reads * prices.replica_tail_read_us
        + (carried - reads) * prices.replica_delivery_us  # opened and rendered here; a read is dearer
        + (signals + replicas / PING_EVERY_SECONDS) * prices.replica_notify_us
        + (signals + replicas / PING_EVERY_SECONDS) * (replicas - 1) * prices.replica_hearing_us
        + tails / TAILS_SWEEP_SECONDS * prices.replica_swept_tail_us
        + workload.streams / ACCESS_SWEEP_SECONDS * prices.replica_swept_login_us
    )
    database_us = (
        commits * prices.database_append_us
        + events * prices.database_appended_us
        + reads * prices.database_tail_read_us
        + notifications * (prices.database_notify_us + replicas * prices.database_hearing_us)
        + tails / TAILS_SWEEP_SECONDS * prices.database_swept_tail_us
        + workload.streams / ACCESS_SWEEP_SECONDS * prices.database_swept_login_us
        + replicas * workload.running_sessions / RUNS_SWEEP_SECONDS * prices.database_running_us
    )
    # Letters: each replica to each that follows one of its sessions, a few milliseconds apart.
    letters = min(carried, replicas * (replicas - 1) / COALESCE_SECONDS)
    redis_us = signals * (prices.redis_publish_us + replicas * prices.redis_hearing_us) + letters * (
        prices.redis_publish_us + prices.redis_hearing_us
    )
    wal_event_bytes = prices.wal_event_bytes + workload.event_bytes - PRICED_EVENT_BYTES
    stored_event_bytes = prices.stored_event_bytes + workload.event_bytes - PRICED_EVENT_BYTES
    memory = prices.replica_bytes + workload.streams / replicas * prices.stream_bytes
    connections = replicas * (deployment.pool_connections + DEDICATED_CONNECTIONS)
    bus = [Resource("NOTIFY", "/s", notifications, prices.notifications_per_second)]
    if deployment.bus == "redis":
        bus = [Resource("CPU of Redis", "cores", redis_us / 1e6, 1)]
    return [
        Resource("CPU of a replica", "cores", replica_us / 1e6 / replicas, 1, each=True),
        Resource("memory of a replica", "MiB", memory / 2**20, deployment.replica_memory_bytes / 2**20, each=True),
        Resource("sockets of a replica", "", workload.streams / replicas, deployment.replica_sockets, each=True),
        Resource("CPU of PostgreSQL", "cores", database_us / 1e6, deployment.database_cores),
        Resource("appends", "/s", commits, deployment.appends_per_second or prices.commits_per_second),
        *bus,
        Resource("connections", "", connections, deployment.max_connections),
        Resource("WAL", "MB/s", events * wal_event_bytes / 1e6, deployment.disk_wal_bytes_per_second / 1e6),
        Resource("log, before compaction", "GB/day", events * stored_event_bytes * 86_400 / 1e9, math.inf),
    ]


def following_replicas(readers: float, replicas: int) -> float:
    """On how many replicas a session has a reader, if each reader may be on any of them."""
    return replicas * (1 - (1 - 1 / replicas) ** readers)


def _signals_per_second(workload: Workload, replicas: int, commits: float) -> float:
    """Of one replica: what changed is gathered for some milliseconds, and divided into messages of a bounded size."""
    at_most = 1 / COALESCE_SECONDS
    ids = workload.events_per_second / replicas
    sessions = workload.running_sessions / replicas
    rounds = min(commits, at_most)
    ids_in_a_round = min(sessions, ids / rounds) if rounds else 0.0
    return rounds * max(1.0, ids_in_a_round * ID_BYTES / IDS_BYTES)
