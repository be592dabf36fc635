"""What a replica says of itself and of the fleet: the body of `/health/status`, which the operations page shows too."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from webedt.bus.interface import ABus
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.fleet.identity import Identity
from webedt.http.lifecycle import Lifecycle
from webedt.http.stream_registry import AStreams
from webedt.kernel import ServiceContainer
from webedt.providers.interface import AProviders
from webedt.services.cleanup import ACleanup
from webedt.services.fleet_status import AFleetStatus

LOOK_SECONDS = 5.0
# Measured on 2 cores with PostgreSQL on the same machine (scripts/bench), not a promise for yours.
SCALE = {
    "currentCapacity": "one replica on 2 cores: 1000 live readers, 4000 idle streams, 100000 events/s stored",
    "shortTermTarget": "add replicas: state is in PostgreSQL alone",
    "architecture": "stateless replicas on one PostgreSQL",
}
NOTHING_SEEN: dict[str, Any] = {
    "runs": {"active": None, "queued": None},
    "instances": [],
    "cleanup": {"lastRun": None, "cleaned": 0, "leader": None},
}


@dataclass(frozen=True, kw_only=True)
class StatusServices(ServiceContainer):
    database: ADatabase
    bus: ABus
    streams: AStreams
    cleanup: ACleanup
    fleet: AFleetStatus
    providers: AProviders


class StatusReport:
    def __init__(
        self, services: StatusServices, settings: Settings, identity: Identity, lifecycle: Lifecycle, version: str
    ) -> None:
        self._services = services
        self._settings = settings
        self._identity = identity
        self._lifecycle = lifecycle
        self._version = version
        self._log = structlog.get_logger(component="operations")

    async def look(self) -> dict[str, Any]:
        """`status` is healthy, degraded or unhealthy; what a silent database would know is null or empty."""
        services = self._services
        database, stats = services.database.state, services.database.stats
        seen = await self._look_at_fleet() if database.reason is None else None
        healthy = database.reason is None and seen is not None
        breakers = services.providers.breakers
        dead_upstream = any(breaker.state == "open" for breaker in breakers.values())
        degraded = not services.bus.connected or self._lifecycle.draining or dead_upstream
        return {
            "status": "unhealthy" if not healthy else "degraded" if degraded else "healthy",
            "container": self._identity.container_id,
            "version": self._version,
            "build": {
                "commitSha": self._settings.build_commit_sha,
                "timestamp": self._settings.build_timestamp,
                "version": self._version,
            },
            "uptimeSeconds": self._lifecycle.uptime_seconds,
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

    async def _look_at_fleet(self) -> dict[str, Any] | None:
        """What the database knows of the fleet; None when it cannot be asked."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                runs = await self._services.fleet.count_runs()
                instances = await self._services.fleet.instances()
                cleanup = await self._services.cleanup.last_run()
        except Exception as error:
            # Whatever is wrong with the database, this page is where one looks for it.
            self._log.warning("status_not_known", error=repr(error))
            return None
        return {
            "runs": runs,
            "instances": instances,
            "cleanup": {"lastRun": cleanup.at, "cleaned": cleanup.count, "leader": cleanup.leader},
        }
