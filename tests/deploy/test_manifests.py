"""What is deployed agrees with what is built: names and numbers in compose.yaml, in the manifests and in the docs."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from webedt.config import Settings, load_settings
from webedt.http.operations import operations_routes
from webedt.http.web import web_routes
from webedt.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VARIABLES = {name for item in fields(Settings) for name in item.metadata["variables"]}
# Connections of a replica outside its pool: heartbeat, event writer, listener, notifier, health check.
DEDICATED = 5
FINISHING_SECONDS = 30
COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text())
BACKEND = COMPOSE["services"]["backend"]


def manifests() -> Iterator[Any]:
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        yield from (manifest for manifest in yaml.safe_load_all(path.read_text()) if "kind" in manifest)


MANIFESTS = list(manifests())


def of_kind(kind: str) -> Any:
    [found] = [manifest for manifest in MANIFESTS if manifest["kind"] == kind]
    return found


DEPLOYMENT = of_kind("Deployment")["spec"]
POD = DEPLOYMENT["template"]["spec"]
CONFIG = of_kind("ConfigMap")["data"]
AUTOSCALER = of_kind("HorizontalPodAutoscaler")["spec"]


def settings_of(environment: dict[str, str]) -> Settings:
    """As a replica would read them: a fault ends it."""
    needed = {"DATABASE_URL": "postgresql://db/webedt", "SESSION_SECRET": "s" * 32, "WEBEDT_ENV": "production"}
    return load_settings({**environment, **needed})


@pytest.mark.parametrize("environment", [BACKEND["environment"], CONFIG], ids=["compose", "kubernetes"])
def test_numbers_are_the_defaults_unless_they_say_otherwise_and_the_grace_period_follows(
    environment: dict[str, str],
) -> None:
    settings, defaults = settings_of(environment), Settings()
    for name in ("port", "db_pool_max", "lb_drain_delay_seconds", "shutdown_timeout_seconds", "max_active_runs"):
        assert getattr(settings, name) == getattr(defaults, name), name
    grace = settings.lb_drain_delay_seconds + settings.shutdown_timeout_seconds + FINISHING_SECONDS
    given = {"compose": BACKEND["stop_grace_period"], "kubernetes": f"{POD['terminationGracePeriodSeconds']}s"}
    assert set(given.values()) == {f"{grace:g}s"}


def test_every_variable_is_a_setting() -> None:
    secret = of_kind("Secret")["stringData"]
    example = re.findall(r"^#?([A-Z_]+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE)
    interpolated = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    given = {
        *BACKEND["environment"],
        *CONFIG,
        *secret,
        *(entry["name"] for entry in POD["containers"][0]["env"]),
        *(name for name in example if name not in interpolated),
    }
    assert given - VARIABLES == set()
    build = set(COMPOSE["services"]["migrate"]["build"]["args"])
    assert interpolated - build - set(example) == set()


def test_every_probe_asks_a_route_that_there_is() -> None:
    unused: Any = None
    paths = {route.path for route in operations_routes(unused, unused, unused, unused, unused, "")}
    [container] = POD["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startup": "/live",
        "liveness": "/live",
        "readiness": "/ready",
    }
    assert {probe["path"] for probe in asked.values()} <= paths
    [port] = container["ports"]
    assert {probe["port"] for probe in asked.values()} == {port["name"]}
    assert port["containerPort"] == Settings().port
    # Readiness has noticed before the drain is over.
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < Settings().lb_drain_delay_seconds


def test_all_replicas_and_those_that_replace_them_find_connections() -> None:
    each = Settings().db_pool_max + DEDICATED
    command = " ".join(COMPOSE["services"]["postgres"]["command"])
    [most] = re.findall(r"max_connections=(\d+)", command)
    # Twice as many while they are replaced; 3 are PostgreSQL's own, 5 for people.
    assert 2 * BACKEND["deploy"]["replicas"] * each + 8 <= int(most)
    surge = DEPLOYMENT["strategy"]["rollingUpdate"]["maxSurge"]
    [documented] = re.findall(r"`max_connections` of at least (\d+)", (ROOT / "docs" / "deployment.md").read_text())
    assert (AUTOSCALER["maxReplicas"] + surge) * each + 8 <= int(documented)
    assert AUTOSCALER["minReplicas"] == DEPLOYMENT["replicas"] == BACKEND["deploy"]["replicas"] == 3


def test_the_autoscaler_and_the_adapter_speak_of_metrics_that_there_are() -> None:
    metrics = {family.name for family in Metrics("test").registry.collect()}
    asked = {item["pods"]["metric"]["name"] for item in AUTOSCALER["metrics"] if item["type"] == "Pods"}
    adapter = yaml.safe_load((KUBERNETES / "optional" / "prometheus-adapter.yaml").read_text())
    offered = {rule["name"]["as"] for rule in adapter["rules"]["custom"]}
    assert asked == offered
    assert asked <= metrics
    [runs] = [
        item["pods"]["target"]["averageValue"]
        for item in AUTOSCALER["metrics"]
        if item.get("pods", {}).get("metric", {}).get("name") == "webedt_runs_active"
    ]
    assert int(runs) < Settings().max_active_runs


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_pod_has_no_right_that_it_does_not_need(kind: str) -> None:
    pod = of_kind(kind)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"\nUSER {pod['securityContext']['runAsUser']}\n" in dockerfile


def test_every_service_of_compose_is_as_tight() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
    published = {name for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"balancer", "prometheus", "grafana"}
    for name in published - {"balancer"}:
        assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name]["ports"]), name


def test_selectors_find_their_pods_and_names_what_they_name() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"].items()
    assert DEPLOYMENT["selector"]["matchLabels"].items() <= labels
    assert of_kind("Service")["spec"]["selector"].items() <= labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    policy = of_kind("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": Settings().port}]
    migrating = of_kind("Job")["spec"]["template"]["metadata"]["labels"].items()
    assert policy["podSelector"]["matchLabels"].items() <= migrating
    assert not DEPLOYMENT["selector"]["matchLabels"].items() <= migrating
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        said = yaml.safe_load(kustomization.read_text())
        for name in said.get("resources", []) + said.get("components", []):
            assert (kustomization.parent / name).exists(), f"{kustomization}: {name}"


def test_the_ingress_leads_to_the_web_page_and_the_api_and_to_nothing_else() -> None:
    [rule] = of_kind("Ingress")["spec"]["rules"]
    paths = [(item["path"], item["pathType"]) for item in rule["http"]["paths"]]

    def leads_to(path: str) -> bool:
        return any(path == one or (kind == "Prefix" and path.startswith(f"{one}/")) for one, kind in paths)

    assert [route.path for route in web_routes({}) if not leads_to(route.path)] == []
    assert leads_to("/api/execute-remote")
    unused: Any = None
    routes = operations_routes(unused, unused, unused, unused, unused, "")
    assert [route.path for route in routes if leads_to(route.path) and not route.path.startswith("/api/")] == []


def test_every_file_that_compose_mounts_is_there() -> None:
    mounted = {
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    }
    assert {"./deploy/prometheus", "./deploy/grafana/dashboard.json"} <= mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []
