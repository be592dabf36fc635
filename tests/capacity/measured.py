"""The prices: read out of the table in `docs/benchmarks.md`, so that no number stands twice."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import MARKER

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
Figures = Mapping[tuple[str, str], float]


def read_figures(document: Path = DOCUMENT) -> Figures:
    """By workload and name."""
    _, found, table = document.read_text().partition(MARKER)
    rows = re.findall(r"^\| ([\w-]+) \| (.+?) \| ([\d,.]+) ?[^|]* \|", table, re.MULTILINE)
    if not found or not rows:
        raise ValueError(f"{document.name} has no table of figures")
    return {(workload, name): float(value.replace(",", "")) for workload, name, value in rows}


@dataclass(frozen=True)
class Prices:
    """CPU in microseconds of one core: `replica_` of a replica's process, `database_` of PostgreSQL's backends,
    `redis_` of Redis."""

    replica_event_us: float
    replica_append_us: float
    replica_appended_us: float
    replica_delivery_us: float
    replica_tail_read_us: float
    replica_notify_us: float
    replica_hearing_us: float
    replica_swept_tail_us: float
    replica_swept_login_us: float
    database_append_us: float
    database_appended_us: float
    database_tail_read_us: float
    database_notify_us: float
    database_hearing_us: float
    database_swept_tail_us: float
    database_swept_login_us: float
    database_running_us: float
    redis_publish_us: float
    redis_hearing_us: float
    append_seconds: float
    commits_per_second: float
    notifications_per_second: float
    wal_event_bytes: float
    stored_event_bytes: float
    stream_bytes: float
    replica_bytes: float


def prices(figures: Figures) -> Prices:
    """Raises `KeyError` for a figure that is not in the table."""

    def cost(name: str) -> float:
        return figures["costs", name]

    append = {who: cost(f"append of one event: {who}") for who in ("PostgreSQL", "replica")}
    large = {who: cost(f"append of 200 events: {who}") for who in ("PostgreSQL", "replica")}
    appended = {who: max(0.0, (large[who] - append[who]) / 199) for who in append}
    notify = {count: cost(f"NOTIFY, {count} listening: PostgreSQL") for count in (1, 16)}
    heard = {count: cost(f"NOTIFY, {count} listening: all that hear") for count in (1, 16)}
    hearing_us = max(0.0, (notify[16] - notify[1]) / 15)
    heard_us = max(0.0, (heard[16] - heard[1]) / 15)
    published = {count: cost(f"PUBLISH to {count}: Redis") for count in (1, 16)}
    redis_hearing_us = max(0.0, (published[16] - published[1]) / 15)
    size, events = (figures["growth", name] for name in ("size of the full table", "events in the full table"))
    return Prices(
        # What drives a run and its provider; large batches, in which the append's own part is small.
        replica_event_us=figures["live", "CPU when nobody watches"] - appended["replica"],
        replica_append_us=append["replica"] - appended["replica"],
        replica_appended_us=appended["replica"],
        replica_delivery_us=figures["fan-out", "CPU, 1000 readers"],
        replica_tail_read_us=cost("read of a tail: replica"),
        replica_notify_us=max(0.0, heard[1] - heard_us),
        replica_hearing_us=heard_us,
        replica_swept_tail_us=cost("sweep of tails: replica"),
        replica_swept_login_us=cost("sweep of logins: replica"),
        database_append_us=append["PostgreSQL"] - appended["PostgreSQL"],
        database_appended_us=appended["PostgreSQL"],
        database_tail_read_us=cost("read of a tail: PostgreSQL"),
        database_notify_us=max(0.0, notify[1] - hearing_us),
        database_hearing_us=hearing_us,
        database_swept_tail_us=cost("sweep of tails: PostgreSQL"),
        database_swept_login_us=cost("sweep of logins: PostgreSQL"),
        database_running_us=cost("look for abandoned runs: PostgreSQL"),
        redis_publish_us=max(0.0, published[1] - redis_hearing_us),
        redis_hearing_us=redis_hearing_us,
        append_seconds=cost("append of one event: until answered, fsync with it") / 1e6,
        commits_per_second=max(cost("appends by 16 at once"), cost("appends by 64 at once")),
        notifications_per_second=cost("NOTIFY, 16 listening, as many notifying"),
        wal_event_bytes=figures["live", "WAL, sessions and runs with it"],
        stored_event_bytes=size * 2**30 / events,
        stream_bytes=figures["idle", "memory, 4,000 streams"] * 1024,
        replica_bytes=figures["process", "memory of an idle replica"] * 2**20,
    )
