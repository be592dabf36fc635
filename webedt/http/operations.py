"""Routes for balancers, orchestrators and Prometheus."""

from typing import Any, Literal

import msgspec
from aiohttp import web

from webedt.database.interface import ADatabase
from webedt.fleet.identity import Identity
from webedt.http.context import json_response
from webedt.http.lifecycle import Lifecycle
from webedt.http.routes import Access, Route
from webedt.http.status import StatusReport
from webedt.telemetry.metrics import Metrics

OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
READINESS = ("ready", "starting", "database", "migrations", "draining")
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(msgspec.Struct, rename="camel"):
    status: Literal["ok"]
    service: str
    container: str
    version: str
    uptime_seconds: float


def operations_routes(
    database: ADatabase,
    report: StatusReport,
    identity: Identity,
    lifecycle: Lifecycle,
    metrics: Metrics,
    version: str,
) -> list[Route]:
    async def health(_request: web.Request) -> web.StreamResponse:
        view = Health("ok", "webedt", identity.container_id, version, lifecycle.uptime_seconds)
        return json_response(view)

    async def live(_request: web.Request) -> web.StreamResponse:
        return json_response({"status": "alive"})

    async def ready(_request: web.Request) -> web.StreamResponse:
        reason = _not_ready()
        if reason is None:
            return json_response({"status": "ready"})
        return json_response({"status": "not_ready", "reason": reason}, 503)

    def _not_ready() -> str | None:
        if lifecycle.draining:
            return "draining"
        reason = database.state.reason
        if reason is None and not lifecycle.initialized:
            return "starting"
        return reason

    async def metric_text(request: web.Request) -> web.StreamResponse:
        openmetrics = OPENMETRICS in request.headers.get("Accept", "")
        metrics.uptime.set(lifecycle.uptime_seconds)
        said = _not_ready() or "ready"
        for state in READINESS:
            metrics.readiness.set(state == said, state)
        return web.Response(
            body=metrics.render(openmetrics=openmetrics),
            headers={"Content-Type": OPENMETRICS_TYPE if openmetrics else PROMETHEUS_TYPE},
        )

    async def status(_request: web.Request) -> web.StreamResponse:
        body = await report.look()
        return json_response(body, 503 if body["status"] == "unhealthy" else 200)

    probe: dict[str, Any] = {"method": "GET", "access": Access.PUBLIC, "needs_database": False}
    return [
        Route(path="/health", handler=health, summary="Alive, touching nothing", answer=Health, **probe),
        Route(path="/live", handler=live, summary="Liveness: always 200", answer=dict[str, str], **probe),
        Route(
            path="/ready", handler=ready, summary="Readiness: may traffic come?", answer=dict[str, str],
            statuses=(200, 503), **probe,
        ),
        Route(
            path="/health/status", handler=status, summary="The replica and the fleet in detail",
            answer=dict[str, Any], statuses=(200, 503), **probe,
        ),
        Route(
            path="/metrics", handler=metric_text, summary="Prometheus text, OpenMetrics when asked",
            media_type="text/plain", **probe,
        ),
    ]  # fmt: skip
