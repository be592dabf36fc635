"""Routes of the operations page: who may see it, and what it shows of the replica that was asked and of the fleet."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from webedt.config import Settings
from webedt.domain.errors import Forbidden
from webedt.domain.users import User
from webedt.http.context import json_response, principal
from webedt.http.routes import Route
from webedt.http.status import StatusReport
from webedt.telemetry.metrics import Metrics
from webedt.telemetry.readings import Readings


class Bucket(msgspec.Struct):
    """`count` observations were at most `le` seconds."""

    le: float
    count: int


class HistogramView(msgspec.Struct):
    count: int
    sum: float
    buckets: list[Bucket]


class MetricsView(msgspec.Struct, rename="camel"):
    """Of the replica that answers, since it began. Whoever wants a rate asks twice."""

    runs_active: int
    runs_ended: dict[str, int]
    runs_recovered: int
    streams: dict[str, int]
    events_committed: int
    events_sent: int
    replay_events: int
    commit_seconds: HistogramView
    delivery_seconds: HistogramView


class OperationsView(msgspec.Struct):
    """`at`: this replica's clock, to which heartbeats are compared; `status` as `/health/status` has it."""

    at: datetime
    status: dict[str, Any]
    metrics: MetricsView


class AccessView(msgspec.Struct):
    """What a user may see beyond what is theirs."""

    operations: bool


@dataclass(frozen=True)
class Admins:
    """Who they are is the operator's word alone; accounts are stored in lower case, and so is the setting."""

    emails: frozenset[str]
    everybody: bool

    @classmethod
    def of(cls, settings: Settings) -> "Admins":
        return cls(frozenset(settings.admin_emails), not settings.admin_emails and not settings.production)

    def include(self, user: User) -> bool:
        return self.everybody or user.email in self.emails


def admin_routes(report: StatusReport, metrics: Metrics, admins: Admins) -> list[Route]:
    async def access(request: web.Request) -> web.StreamResponse:
        return json_response(AccessView(admins.include(principal(request).user)))

    async def operations(request: web.Request) -> web.StreamResponse:
        if not admins.include(principal(request).user):
            raise Forbidden("The operations page is for admins of this deployment (ADMIN_EMAILS).")
        status = await report.look()
        return json_response(OperationsView(datetime.now(UTC), status, measured(metrics)))

    return [
        Route(
            method="GET", path="/api/user/access", handler=access, summary="What the user may see of the deployment",
            answer=AccessView,
        ),
        Route(
            method="GET", path="/api/operations", handler=operations, summary="Status and metrics, for admins",
            answer=OperationsView, refusals=(403,),
        ),
    ]  # fmt: skip


def measured(metrics: Metrics) -> MetricsView:
    read = Readings(metrics.collect())
    return MetricsView(
        runs_active=int(read.total("webedt_runs_active")),
        runs_ended=_counts(read.by_label("webedt_runs_total", "outcome")),
        runs_recovered=int(read.total("webedt_runs_recovered_total")),
        streams=_counts(read.by_label("webedt_sse_streams", "kind")),
        events_committed=int(read.total("webedt_events_committed_total")),
        events_sent=int(read.total("webedt_sse_events_sent_total")),
        replay_events=int(read.total("webedt_sse_replay_events_total")),
        commit_seconds=_histogram(read, "webedt_event_commit_seconds"),
        delivery_seconds=_histogram(read, "webedt_event_delivery_seconds"),
    )


def _counts(found: dict[str, float]) -> dict[str, int]:
    return {label: int(count) for label, count in found.items()}


def _histogram(read: Readings, name: str) -> HistogramView:
    count, total, buckets = read.histogram(name)
    return HistogramView(int(count), total, [Bucket(bound, int(number)) for bound, number in buckets])
