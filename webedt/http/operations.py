"""Routes for balancers, orchestrators and Prometheus."""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import structlog
from aiohttp import web

from webedt.bus.interface import ABus
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.fleet.identity import Identity
from webedt.http.context import json_response
from webedt.http.lifecycle import Lifecycle
from webedt.http.routes import Access, Route
from webedt.http.stream_registry import AStreams
from webedt.kernel import ServiceContainer
from webedt.providers.interface import AProviders
from webedt.services.cleanup import ACleanup
from webedt.services.fleet_status import AFleetStatus
from webedt.telemetry.metrics import Metrics

OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOK_SECONDS = 5.0
# Measured on 2 cores with PostgreSQL on the same machine (scripts/bench), not a promise for yours.
SCALE = {
    "currentCapacity": "one replica on 2 cores: 1000 live readers, 4000 idle streams, 100000 events/s stored",
    "shortTermTarget": "add replicas: state is in PostgreSQL alone",
    "architecture": "stateless replicas on one PostgreSQL",
}


class Health(msgspec.Struct, rename="camel"):
    status: Literal["ok"]
    service: str
    container: str
    version: str
    uptime_seconds: float


@dataclass(frozen=True, kw_only=True)
class OperationsServices(ServiceContainer):
    database: ADatabase
    bus: ABus
    streams: AStreams
    cleanup: ACleanup
    fleet: AFleetStatus
    providers: AProviders


def operations_routes(
    services: OperationsServices,
    settings: Settings,
    identity: Identity,
    lifecycle: Lifecycle,
    metrics: Metrics,
    version: str,
) -> list[Route]:
    log = structlog.get_logger(component="operations")

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
        reason = services.database.state.reason
        if reason is None and not lifecycle.initialized:
            return "starting"
        return reason

    async def metric_text(request: web.Request) -> web.StreamResponse:
        openmetrics = OPENMETRICS in request.headers.get("Accept", "")
        metrics.uptime.set(lifecycle.uptime_seconds)
        return web.Response(
            body=metrics.render(openmetrics=openmetrics),
            headers={"Content-Type": OPENMETRICS_TYPE if openmetrics else PROMETHEUS_TYPE},
        )

    async def status(_request: web.Request) -> web.StreamResponse:
        database, stats = services.database.state, services.database.stats
        seen = await _look() if database.reason is None else None
        healthy = database.reason is None and seen is not None
        breakers = services.providers.breakers
        dead_upstream = any(breaker.state == "open" for breaker in breakers.values())
        degraded = not services.bus.connected or lifecycle.draining or dead_upstream
        body: dict[str, Any] = {
            "status": "unhealthy" if not healthy else "degraded" if degraded else "healthy",
            "container": identity.container_id,
            "version": version,
            "build": {
                "commitSha": settings.build_commit_sha,
                "timestamp": settings.build_timestamp,
                "version": version,
            },
            "uptimeSeconds": lifecycle.uptime_seconds,
            "scale": SCALE,
            "database": {
                "healthy": database.healthy,
                "latencyMs": None if database.latency_ms is None else round(database.latency_ms, 2),
                "connections": {
                    "total": stats.total,
                    "idle": stats.idle,
                    "waiting": stats.waiting,
                    "max": stats.max,
                },
            },
            "streams": {"active": services.streams.active},
            "listener": {"connected": services.bus.connected},
            "bus": {"ways": list(services.bus.ways)},
            "upstreams": [
                {"provider": name, "breaker": breaker.state, "failures": breaker.failures}
                for name, breaker in breakers.items()
            ],
            **(seen or NOTHING_SEEN),
        }
        return json_response(body, 200 if healthy else 503)

    async def _look() -> dict[str, Any] | None:
        """What the database knows of the fleet; None when it cannot be asked."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                runs = await services.fleet.count_runs()
                instances = await services.fleet.instances()
                cleanup = await services.cleanup.last_run()
        except Exception as error:
            # Whatever is wrong with the database, this page is where one looks for it.
            log.warning("status_not_known", error=repr(error))
            return None
        return {
            "runs": runs,
            "instances": instances,
            "cleanup": {"lastRun": cleanup.at, "cleaned": cleanup.count, "leader": cleanup.leader},
        }

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


NOTHING_SEEN: dict[str, Any] = {
    "runs": {"active": None, "queued": None},
    "instances": [],
    "cleanup": {"lastRun": None, "cleaned": 0, "leader": None},
}
