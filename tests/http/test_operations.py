"""What balancers, orchestrators and Prometheus ask, also while the database is away."""

import asyncio
import re
from typing import Any

import pytest

from tests.http.client import CONTAINER, LONG, Client, Running, running
from tests.http.conftest import StartReplica, settings_for
from tests.support.waiting import eventually
from webedt.bus.interface import ABus
from webedt.config import Settings
from webedt.database.embedded import EmbeddedPostgres
from webedt.database.migrations import migrate
from webedt.fleet.heartbeat import AHeartbeat
from webedt.providers.breaker import CircuitBreaker
from webedt.providers.interface import AProviders
from webedt.services.fleet_status import AFleetStatus

BUILD = {"build_commit_sha": "abc123", "build_timestamp": "2026-01-02T03:04:05Z", "build_version": "9.9.9"}


async def until(app: Running, path: str, wanted: int, seconds: float) -> Any:
    """The first answer with this status, which must come in time."""

    async def look() -> Any:
        answer = await app.nobody.get(path)
        return answer.json() if answer.status == wanted else None

    return await eventually(look, f"{path} {wanted}", seconds=seconds)


async def test_health_touches_nothing_and_names_the_replica(app: Running) -> None:
    answer = await app.nobody.get("/health")
    found = answer.json()
    assert answer.status == 200
    assert found.keys() == {"status", "service", "container", "version", "uptimeSeconds"}
    assert (found["status"], found["service"], found["container"]) == ("ok", "webedt", CONTAINER)
    assert found["uptimeSeconds"] > 0


async def test_live_and_ready_say_so(app: Running) -> None:
    assert ((await app.nobody.get("/live")).status, (await app.nobody.get("/live")).json()) == (
        200,
        {"status": "alive"},
    )
    ready = await app.nobody.get("/ready")
    assert (ready.status, ready.json()) == (200, {"status": "ready"})


SHAPE = {
    "status": str, "container": str, "version": str, "uptimeSeconds": float,
    "build": {"commitSha": str, "timestamp": str, "version": str},
    "scale": {"currentCapacity": str, "shortTermTarget": str, "architecture": str},
    "database": {
        "healthy": bool, "latencyMs": float,
        "connections": {"total": int, "idle": int, "waiting": int, "max": int},
    },
    "runs": {"active": int, "queued": int},
    "streams": {"active": int},
    "listener": {"connected": bool},
    "bus": {"ways": list},
    "upstreams": list,
    "instances": list,
    "cleanup": {"lastRun": (str, type(None)), "cleaned": int, "leader": (str, type(None))},
}  # fmt: skip


def check_shape(found: Any, shape: Any, where: str = "$") -> None:
    if isinstance(shape, dict):
        assert found.keys() == shape.keys(), where
        for name, inner in shape.items():
            check_shape(found[name], inner, f"{where}.{name}")
    else:
        assert isinstance(found, shape), where


async def test_the_status_has_exactly_the_promised_shape(app: Running, user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    await user.post(f"/api/sessions/{session_id}/send", {"message": "next"})
    async with user.stream(f"/api/resume/{session_id}") as stream:
        await stream.until("caught_up")
        answer = await app.nobody.get("/health/status")
    assert answer.status == 200
    found = answer.json()
    check_shape(found, SHAPE)
    assert (found["status"], found["container"]) == ("healthy", CONTAINER)
    assert found["database"]["healthy"] is True
    assert found["database"]["connections"]["max"] == 20
    assert found["runs"]["active"] >= 1
    assert found["runs"]["queued"] >= 1
    assert found["streams"]["active"] == 1
    assert found["listener"] == {"connected": True}
    for instance in found["instances"]:
        check_shape(
            instance, {"container": str, "startedAt": str, "heartbeatAt": str, "draining": bool, "activeRuns": int}
        )
        assert instance["startedAt"].endswith("Z")
    assert CONTAINER in [instance["container"] for instance in found["instances"]]


async def test_the_build_is_told(start: StartReplica) -> None:
    async with start(**BUILD) as app:
        found = (await app.nobody.get("/health/status")).json()
        assert found["build"] == {"commitSha": "abc123", "timestamp": "2026-01-02T03:04:05Z", "version": "9.9.9"}
        assert (await app.nobody.get("/health")).json()["version"] == "9.9.9"


async def test_without_its_listener_a_replica_is_degraded(app: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(app.service(ABus)), "connected", False)
    answer = await app.nobody.get("/health/status")
    assert (answer.status, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["listener"] == {"connected": False}


async def test_a_dead_upstream_degrades_a_replica_and_leaves_it_ready(
    app: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = CircuitBreaker(failures=1)
    monkeypatch.setattr(type(app.service(AProviders)), "breakers", {"claude": breaker})
    closed = (await app.nobody.get("/health/status")).json()
    assert (closed["status"], closed["upstreams"]) == (
        "healthy", [{"provider": "claude", "breaker": "closed", "failures": 0}],
    )  # fmt: skip
    breaker.failed()
    opened = (await app.nobody.get("/health/status")).json()
    assert (opened["status"], opened["upstreams"][0]["breaker"]) == ("degraded", "open")
    assert (await app.nobody.get("/ready")).status == 200
    metrics = (await app.nobody.get("/metrics")).body.decode()
    assert f'webedt_upstream_breaker{{container="{CONTAINER}",provider="claude",state="open"}} 1.0' in metrics


async def test_a_fleet_that_cannot_be_looked_at_is_unhealthy_and_no_fault_of_the_page(
    app: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise RuntimeError("whatever the database does")

    monkeypatch.setattr(app.service(AFleetStatus), "count_runs", fail)
    answer = await app.nobody.get("/health/status")
    assert (answer.status, answer.json()["status"]) == (503, "unhealthy")
    assert answer.json().keys() == SHAPE.keys()


async def test_while_draining_it_lives_and_is_not_ready(start: StartReplica) -> None:
    async with start() as app:
        app.replica.lifecycle.draining = True
        app.service(AHeartbeat).drain()
        ready = await app.nobody.get("/ready")
        assert (ready.status, ready.json()) == (503, {"status": "not_ready", "reason": "draining"})
        metrics = (await app.nobody.get("/metrics")).body.decode()
        assert f'webedt_readiness{{container="{CONTAINER}",state="draining"}} 1.0' in metrics
        assert f'webedt_readiness{{container="{CONTAINER}",state="ready"}} 0.0' in metrics
        assert (await app.nobody.get("/live")).status == 200
        status = await app.nobody.get("/health/status")
        assert (status.status, status.json()["status"]) == (200, "degraded")


async def test_a_replica_on_an_empty_database_waits_for_its_migrations(empty_database_url: str) -> None:
    settings = settings_for(empty_database_url)
    async with running(settings, initialize=False) as app:
        starting = asyncio.create_task(app.replica.provider.initialize())

        async def waits_for_migrations() -> bool:
            answer = await app.nobody.get("/ready")
            return (answer.status, answer.json().get("reason")) == (503, "migrations")

        try:
            await eventually(waits_for_migrations, "not ready for want of migrations")
            assert (await app.nobody.get("/live")).status == 200
            assert (await app.nobody.get("/health")).status == 200
            answer = await app.nobody.get("/api/sessions")
            assert (answer.status, answer.code) == (503, "unavailable")
            assert int(answer.head["Retry-After"]) >= 1
            status = await app.nobody.get("/health/status")
            assert (status.status, status.json()["status"]) == (503, "unhealthy")
            await migrate(empty_database_url)
            async with asyncio.timeout(10):
                await starting
            app.replica.lifecycle.initialized = True
            assert await until(app, "/ready", 200, 10) == {"status": "ready"}
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)


async def test_without_a_database_it_lives_says_so_and_comes_back(own_postgres: EmbeddedPostgres) -> None:
    url = await asyncio.to_thread(own_postgres.start)
    await migrate(url)
    async with running(settings_for(url)) as app:
        user = await app.register()
        session_id = await user.finish()
        async with user.stream(f"/api/sessions/{session_id}/events/stream") as stream:
            await stream.until("caught_up")
            await asyncio.to_thread(own_postgres.stop)
            assert (await until(app, "/ready", 503, 5))["reason"] == "database"
            assert (await app.nobody.get("/live")).status == 200
            assert (await app.nobody.get("/metrics")).status == 200
            for method, path in (
                ("GET", "/api/sessions"),
                ("POST", "/api/execute-remote"),
                ("GET", f"/api/resume/{session_id}"),
                ("POST", "/api/auth/login"),
            ):
                answer = await user.ask(method, path, {"userRequest": "x"} if method == "POST" else None)
                assert (answer.status, answer.code) == (503, "unavailable")
                assert int(answer.head["Retry-After"]) >= 1
            status = await app.nobody.get("/health/status")
            assert (status.status, status.json()["status"]) == (503, "unhealthy")
            assert status.json()["database"]["healthy"] is False
            assert await asyncio.to_thread(own_postgres.start) == url
            await until(app, "/ready", 200, 15)
            assert (
                await user.post(f"/api/sessions/{session_id}/send", {"message": "[[tokens=1 rate=0]]"})
            ).status == 202
            assert (await stream.until("completed"))[-1].data["runId"]


async def test_no_request_is_a_500_while_the_database_goes_away(own_postgres: EmbeddedPostgres) -> None:
    url = await asyncio.to_thread(own_postgres.start)
    await migrate(url)
    async with running(settings_for(url)) as app:
        user = await app.register()
        seen: set[int] = set()

        async def ask() -> None:
            while 503 not in seen or len(seen) < 2:
                found = await asyncio.gather(
                    user.get("/api/sessions"),
                    user.post("/api/execute-remote", {"userRequest": "[[tokens=1 rate=0]]"}, Prefer="respond-async"),
                    app.nobody.get("/health/status"),
                )
                seen.update(answer.status for answer in found)

        async with asyncio.timeout(20):
            asking = asyncio.create_task(ask())
            await asyncio.sleep(0.2)
            await asyncio.to_thread(own_postgres.stop)
            await asking
        assert seen <= {200, 202, 503}


# Metrics --------------------------------------------------------------------------------------------------------------

METRICS = {
    "webedt_db_pool_connections": "gauge", "webedt_db_pool_waiting": "gauge", "webedt_db_pool_max": "gauge",
    "webedt_db_acquire_seconds": "histogram", "webedt_db_healthy": "gauge", "webedt_http_requests_total": "counter",
    "webedt_http_request_seconds": "histogram", "webedt_sse_streams": "gauge",
    "webedt_sse_events_sent_total": "counter", "webedt_sse_replay_events_total": "counter",
    "webedt_log_reads_total": "counter",
    "webedt_events_committed_total": "counter", "webedt_event_commit_batch_size": "histogram",
    "webedt_event_commit_seconds": "histogram", "webedt_event_delivery_seconds": "histogram",
    "webedt_runs_active": "gauge", "webedt_runs_total": "counter", "webedt_runs_recovered_total": "counter",
    "webedt_orphans_cleaned_total": "counter", "webedt_leader": "gauge", "webedt_listener_connected": "gauge",
    "webedt_upstream_breaker": "gauge", "webedt_runs_max": "gauge", "webedt_runs_lost_total": "counter",
    "webedt_sse_streams_refused_total": "counter", "webedt_readiness": "gauge", "webedt_cpu_seconds_total": "counter",
    "webedt_uptime_seconds": "gauge", "webedt_build_info": "gauge",
}  # fmt: skip
SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)(?: # .*)?")


async def test_every_metric_is_there_with_its_container(app: Running, user: Client) -> None:
    session_id = await user.finish()
    async with user.stream(f"/api/sessions/{session_id}/events/stream") as stream:
        await stream.until("caught_up")
        answer = await app.nobody.get("/metrics")
    assert answer.status == 200
    assert answer.head["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    kinds = dict(line.split(" ")[2:4] for line in lines if line.startswith("# TYPE "))
    assert {name: kinds.get(name) for name in METRICS} == METRICS
    samples = [SAMPLE.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(samples)
    found = [(match[1], match[2], float(match[3])) for match in samples if match is not None]
    assert all(f'container="{CONTAINER}"' in labels for _, labels, _ in found)

    def value(name: str, *labels: str) -> float:
        return sum(number for one, text, number in found if one == name and all(label in text for label in labels))

    assert value("webedt_sse_streams", 'kind="follow"') == 1
    assert value("webedt_http_requests_total", 'method="POST"', 'route="/api/execute-remote"', 'status="200"') >= 1
    assert value("webedt_runs_total", 'provider="simulated"', 'outcome="completed"') >= 1
    for state in ("total", "idle", "in_use"):
        assert any(f'state="{state}"' in text for one, text, _ in found if one == "webedt_db_pool_connections")
    for name in ("webedt_events_committed_total", "webedt_sse_events_sent_total", "webedt_sse_replay_events_total"):
        assert value(name) >= 6, name  # what its run said: the prompt and the start are not the writer's
    assert value("webedt_db_healthy") == value("webedt_listener_connected") == value("webedt_build_info") == 1
    assert value("webedt_db_pool_max") == 20
    assert value("webedt_runs_max") == Settings().max_active_runs
    assert value("webedt_readiness", 'state="ready"') == value("webedt_readiness") == 1
    assert value("webedt_cpu_seconds_total") > 0


async def test_labels_of_requests_are_routes_and_never_what_a_client_made_up(app: Running, user: Client) -> None:
    for path in ("/api/sessions/made-up-1", "/made-up-2", "/api/made-up-3", "/assets/made-up-4"):
        await user.get(path)
    await user.ask("PROPFIND", "/made-up-5")
    text = (await app.nobody.get("/metrics")).body.decode()
    assert "made-up" not in text
    assert "PROPFIND" not in text
    assert 'route="/api/sessions/{id}"' in text


async def test_openmetrics_is_given_to_who_asks_for_it(app: Running) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    answer = await app.nobody.get("/metrics", Accept=accept)
    assert answer.head["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.body.endswith(b"# EOF\n")
    assert b"# EOF" not in (await app.nobody.get("/metrics", Accept="*/*")).body
