"""The figures of `webedt top`: one row a replica, and what the fleet shares. Pure, and the shape of `--json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from webedt.cli.times import moment
from webedt.cli.top_samples import Sample, earliest_like, quantile, rate


@dataclass(frozen=True)
class ReplicaFigures:
    """One replica. What only its own URL can say is None where none of the URLs is its. Times in seconds."""

    container: str
    url: str | None = None
    fault: str = ""
    status: str | None = None
    heartbeat_age: float | None = None
    draining: bool = False
    leader: bool = False
    active_runs: int | None = None
    streams: int | None = None
    pool_in_use: int | None = None
    pool_max: int | None = None
    pool_waiting: int | None = None
    events_per_second: float | None = None
    commit_p50: float | None = None
    commit_p99: float | None = None
    delivery_p99: float | None = None
    takeovers: int | None = None


@dataclass(frozen=True)
class FleetFigures:
    """All replicas; `active_runs` and `queued_runs` of the database, None where nobody can ask it."""

    at: str
    healthy: int
    leader: str | None
    active_runs: int | None
    queued_runs: int | None
    replicas: list[ReplicaFigures]

    def as_json(self) -> dict[str, Any]:
        """With the names of the wire, camelCase."""
        return {_camel(name): value for name, value in asdict(self).items() if name != "replicas"} | {
            "replicas": [{_camel(name): value for name, value in asdict(one).items()} for one in self.replicas]
        }


def fleet_figures(history: Mapping[str, Sequence[Sample]], now: datetime | None = None) -> FleetFigures:
    """What the samples of each URL, oldest first, say together; the newest say how it is, all of them how it goes."""
    now = now or datetime.now(UTC)
    newest = [samples[-1] for samples in history.values() if samples]
    answering = [sample for sample in newest if not sample.fault]
    # Every replica sees the same database, so anybody's answer is everybody's: one that could ask it is taken.
    shared = next((one.status for one in answering if one.status.get("instances")), {})
    instances = {str(one.get("container")): one for one in shared.get("instances") or []}
    leader = (shared.get("cleanup") or {}).get("leader")
    rows: dict[str, ReplicaFigures] = {}
    for url, samples in history.items():
        if samples:
            row = _row(url, samples, instances, leader, now)
            rows.setdefault(row.container or url, row)
    for container, instance in instances.items():
        if container not in rows:
            rows[container] = ReplicaFigures(container=container, **_shared(instance, container == leader, now))
    runs = shared.get("runs") or {}
    return FleetFigures(
        at=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        healthy=sum(one.status.get("status") == "healthy" for one in answering),
        leader=leader,
        active_runs=runs.get("active"),
        queued_runs=runs.get("queued"),
        replicas=sorted(rows.values(), key=lambda row: (bool(row.fault), row.container, row.url or "")),
    )


def _row(
    url: str, samples: Sequence[Sample], instances: Mapping[str, dict[str, Any]], leader: Any, now: datetime
) -> ReplicaFigures:
    latest = samples[-1]
    if latest.fault:
        known = next((one.container for one in reversed(samples) if one.container), "")
        return ReplicaFigures(container=known, url=url, fault=latest.fault)
    container, first = latest.container, earliest_like(samples, latest)
    return ReplicaFigures(
        container=container,
        url=url,
        status=str(latest.status.get("status")),
        streams=_whole((latest.status.get("streams") or {}).get("active")),
        pool_in_use=_whole(latest.total("webedt_db_pool_connections", state="in_use")),
        pool_max=_whole(latest.total("webedt_db_pool_max")),
        pool_waiting=_whole(latest.total("webedt_db_pool_waiting")),
        events_per_second=rate(first, latest, "webedt_events_committed_total"),
        commit_p50=quantile(first, latest, "webedt_event_commit_seconds", 0.5),
        commit_p99=quantile(first, latest, "webedt_event_commit_seconds", 0.99),
        delivery_p99=quantile(first, latest, "webedt_event_delivery_seconds", 0.99),
        takeovers=_whole(latest.total("webedt_runs_recovered_total")),
        **_shared(instances.get(container, {}), container == leader, now),
    )


def _shared(instance: Mapping[str, Any], leads: bool, now: datetime) -> dict[str, Any]:
    """What the database knows of a replica. Its clock and ours may differ; nothing is older than now."""
    beat = moment(instance.get("heartbeatAt"))
    return {
        "heartbeat_age": None if beat is None else max(0.0, (now - beat).total_seconds()),
        "draining": bool(instance.get("draining")),
        "leader": leads,
        "active_runs": _whole(instance.get("activeRuns")),
    }


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
