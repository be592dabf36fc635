"""Probes and metrics, where they can be reached."""

import re
from typing import Any

from tests.conformance.caller import Caller
from tests.conformance.check import Skip, check, expect, expect_equal, expect_members
from tests.conformance.deployment import Deployment
from tests.conformance.wire import Answer

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: .*)?")
STATUS: dict[str, tuple[str, ...]] = {
    "build": ("commitSha", "timestamp", "version"),
    "scale": ("currentCapacity", "shortTermTarget", "architecture"),
    "database": ("healthy", "latencyMs", "connections"),
    "runs": ("active", "queued"),
    "streams": ("active",),
    "listener": ("connected",),
    "cleanup": ("lastRun", "cleaned", "leader"),
}
METRICS = (
    "webedt_db_pool_connections", "webedt_db_pool_waiting", "webedt_db_pool_max", "webedt_db_acquire_seconds",
    "webedt_db_healthy", "webedt_http_requests_total", "webedt_http_request_seconds", "webedt_sse_streams",
    "webedt_sse_events_sent_total", "webedt_sse_replay_events_total", "webedt_events_committed_total",
    "webedt_event_commit_batch_size", "webedt_event_commit_seconds", "webedt_event_delivery_seconds",
    "webedt_runs_active", "webedt_runs_total", "webedt_runs_recovered_total", "webedt_orphans_cleaned_total",
    "webedt_leader", "webedt_listener_connected", "webedt_uptime_seconds", "webedt_build_info",
)  # fmt: skip


async def _reach(caller: Caller, path: str, **headers: str) -> Answer:
    answer = await caller.get(path, **headers)
    if answer.status in (401, 403, 404):
        raise Skip(f"{answer.head.asked} is closed: {answer.status}")
    return answer


@check("probes", needs_runs=False)
async def probes(deployment: Deployment) -> None:
    """/health, /live and /ready answer in their shapes, without a login."""
    for address in deployment.addresses:
        caller = deployment.nobody.at(address)
        health = (await _reach(caller, "/health")).expect(200).json()
        expect_members(health, ("status", "service", "container", "version", "uptimeSeconds"), "/health")
        expect_equal((health["status"], health["service"]), ("ok", "webedt"), "status and service")
        expect_equal((await _reach(caller, "/live")).expect(200).json()["status"], "alive", "/live")
        expect_equal((await _reach(caller, "/ready")).expect(200).json()["status"], "ready", "/ready")


@check("status", needs_runs=False)
async def detailed_status(deployment: Deployment) -> None:
    """/health/status has every member that was promised, and knows a replica."""
    for address in deployment.addresses:
        found: Any = (await _reach(deployment.nobody.at(address), "/health/status")).expect(200).json()
        expect_members(found, ("status", "container", "version", "uptimeSeconds", "instances", *STATUS), "the status")
        expect(found["status"] in ("healthy", "degraded"), "healthy or degraded", found["status"])
        for name, members in STATUS.items():
            expect_members(found[name], members, name)
        connections = found["database"]["connections"]
        expect_members(connections, ("total", "idle", "waiting", "max"), "connections")
        expect(found["instances"], "instances", found)
        for one in found["instances"]:
            expect_members(one, ("container", "startedAt", "heartbeatAt", "draining", "activeRuns"), "an instance")


@check("metrics", needs_runs=False)
async def metrics(deployment: Deployment) -> None:
    """/metrics is Prometheus text, or OpenMetrics when asked; none is missing, and all name a container."""
    for address in deployment.addresses:
        caller = deployment.nobody.at(address)
        plain = (await _reach(caller, "/metrics")).expect(200)
        expect_equal(plain.head.media_type(), "text/plain", "Content-Type")
        _judge_samples(plain.body.decode())
        accept = "application/openmetrics-text; version=1.0.0"
        asked = (await _reach(caller, "/metrics", Accept=accept)).expect(200)
        expect_equal(asked.head.media_type(), "application/openmetrics-text", "Content-Type when asked")
        expect(asked.body.endswith(b"# EOF\n"), "# EOF at the end", asked.body[-40:])


def _judge_samples(text: str) -> None:
    families = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    missing = [name for name in METRICS if name not in families and name.removesuffix("_total") not in families]
    expect(not missing, "every metric", f"without {', '.join(missing)}")
    states = set(re.findall(r'^webedt_db_pool_connections\{.*state="(\w+)"', text, re.M))
    expect({"total", "idle", "in_use"} <= states, "connections that are total, idle and in_use", states)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            sample = SAMPLE.fullmatch(line)
            expect(sample is not None, "a sample", line)
            named = sample is not None and 'container="' in (sample[2] or "")
            expect(named or not line.startswith("webedt_"), "the label container", line)
