"""Every metric of the process in one class with its own registry, named as in the wire contract.

Labels come from closed sets (route templates, states, providers); `container` is on every sample. Gauges that mirror
live state are read at scrape time through `observe`, so that they cannot drift.
"""

import functools
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

FAST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


class Metrics:
    def __init__(self, container_id: str) -> None:
        self._container = container_id
        self.registry = CollectorRegistry()
        self._gauges: list[Callable[[], None]] = []

        self.pool_connections = self._gauge("webedt_db_pool_connections", "Connections of the pool by state.", "state")
        self.pool_waiting = self._gauge("webedt_db_pool_waiting", "Callers that wait for a connection.")
        self.pool_max = self._gauge("webedt_db_pool_max", "Most connections the pool may have.")
        self.pool_acquire_seconds = self._histogram("webedt_db_acquire_seconds", "Wait for a connection of the pool.")
        self.db_healthy = self._gauge("webedt_db_healthy", "1 if the last check of the database succeeded.")

        self.http_requests = self._counter(
            "webedt_http_requests", "Answers by route template.", "method", "route", "status"
        )
        self.http_seconds = self._histogram(
            "webedt_http_request_seconds", "Time to the last byte, of a stream to its beginning.", "method", "route"
        )

        self.streams = self._gauge("webedt_sse_streams", "Open streams.", "kind")
        self.streams_refused = self._counter("webedt_sse_streams_refused", "Streams that were not begun.", "reason")
        self.events_sent = self._counter("webedt_sse_events_sent", "Events written to readers.")
        self.replay_events = self._counter("webedt_sse_replay_events", "Events served from the database.")
        self.log_reads = self._counter(
            "webedt_log_reads", "Statements that read the log for readers: a page, or the end of it.", "kind"
        )
        self.delivery_seconds = self._histogram(
            "webedt_event_delivery_seconds", "From commit (or its notification) to the write to readers.", "origin"
        )

        self.events_committed = self._counter("webedt_events_committed", "Events appended durably by this replica.")
        self.commit_batch = self._histogram(
            "webedt_event_commit_batch_size", "Events in one commit.", buckets=BATCH_SIZES
        )
        self.commit_seconds = self._histogram("webedt_event_commit_seconds", "One append, sent to answered.")

        self.runs_active = self._gauge("webedt_runs_active", "Runs that this replica drives.")
        self.runs_max = self._gauge("webedt_runs_max", "Most runs that this replica claims.")
        self.runs_total = self._counter("webedt_runs", "Runs ended by this replica.", "provider", "outcome")
        self.runs_recovered = self._counter("webedt_runs_recovered", "Runs taken over from another replica.")
        self.runs_lost = self._counter(
            "webedt_runs_lost", "Runs taken over whose replica was lost: it had not handed them over."
        )
        self.orphans_cleaned = self._counter("webedt_orphans_cleaned", "Sessions ended by the orphan sweep.")
        self.file_bytes = self._counter("webedt_file_bytes", "Bytes of workspace files, in and out.", "direction")
        self.leader = self._gauge("webedt_leader", "1 if this replica leads the task.", "task")
        self.upstream_breaker = self._gauge(
            "webedt_upstream_breaker", "1 for the state of an upstream's circuit breaker.", "provider", "state"
        )
        self.listener_connected = self._gauge("webedt_listener_connected", "1 if notifications come in.")
        self.bus_in_use = self._gauge("webedt_bus_in_use", "1 if signals to other replicas go out by it.", "bus")
        self.bus_frames = self._counter(
            "webedt_bus_frames", "Commits sent whole through Redis: to a replica, and what became of them.", "outcome"
        )
        self.readiness = self._gauge("webedt_readiness", "1 for what `/ready` says: ready, or why not.", "state")
        self.cpu_seconds = self._counter("webedt_cpu_seconds", "CPU time of the process; its event loop has one core.")
        self._cpu_counted = 0.0
        self._gauges.append(self._count_cpu)
        self.uptime = self._gauge("webedt_uptime_seconds", "Seconds since the process began.")
        self.build_info = self._gauge("webedt_build_info", "Always 1.", "version", "commit")

    def observe(self, read: Callable[[], None]) -> None:
        """Have `read` set its gauges before each scrape."""
        self._gauges.append(read)

    def collect(self) -> Iterable[Metric]:
        """Every family as it stands now."""
        for read in self._gauges:
            read()
        return self.registry.collect()

    def render(self, *, openmetrics: bool) -> bytes:
        """The exposition, Prometheus text or OpenMetrics."""
        for read in self._gauges:
            read()
        exposition: bytes = (generate_openmetrics if openmetrics else generate_latest)(self.registry)
        return exposition

    def _count_cpu(self) -> None:
        spent = time.process_time()
        self.cpu_seconds.inc(spent - self._cpu_counted)
        self._cpu_counted = spent

    def _counter(self, name: str, doc: str, *labels: str) -> "BoundCounter":
        return BoundCounter(Counter(name, doc, ("container", *labels), registry=self.registry), self._container, labels)

    def _gauge(self, name: str, doc: str, *labels: str) -> "BoundGauge":
        return BoundGauge(Gauge(name, doc, ("container", *labels), registry=self.registry), self._container, labels)

    def _histogram(
        self, name: str, doc: str, *labels: str, buckets: tuple[float, ...] = FAST_SECONDS
    ) -> "BoundHistogram":
        family = Histogram(name, doc, ("container", *labels), registry=self.registry, buckets=buckets)
        return BoundHistogram(family, self._container, labels)


class BoundCounter:
    """A counter whose first label is already the container; without further labels it is there from the start."""

    def __init__(self, family: Counter, container: str, labels: tuple[str, ...]) -> None:
        # Labels come from closed sets, so the series can be kept; to look one up costs more than to count.
        self._series = functools.cache(functools.partial(family.labels, container))
        if not labels:
            self._series()

    def begin(self, *labels: str) -> None:
        """Show the series from the start: a rate needs the zero before the first count."""
        self._series(*labels)

    def inc(self, amount: float = 1, *labels: str) -> None:
        self._series(*labels).inc(amount)


class BoundGauge:
    def __init__(self, family: Gauge, container: str, labels: tuple[str, ...]) -> None:
        self._series = functools.cache(functools.partial(family.labels, container))
        if not labels:
            self._series()

    def set(self, value: float, *labels: str) -> None:
        self._series(*labels).set(value)


class BoundHistogram:
    def __init__(self, family: Histogram, container: str, labels: tuple[str, ...]) -> None:
        self._series = functools.cache(functools.partial(family.labels, container))
        if not labels:
            self._series()

    def begin(self, *labels: str) -> None:
        """Show the series from the start."""
        self._series(*labels)

    def observe(self, value: float, *labels: str) -> None:
        self._series(*labels).observe(value)
