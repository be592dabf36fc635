"""Configuration, rules and dashboard, by reading and by `promtool`: they speak of what a replica says, and agree."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dashboard import panels
from tests.deploy.prometheus import CONFIGURATION, RULES, UNIT_TESTS, hastened, program
from webedt.config import Settings
from webedt.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
OPTIONAL = ROOT / "deploy" / "kubernetes" / "optional"
DOCUMENT = (ROOT / "docs" / "monitoring.md").read_text()
GROUPS: list[Any] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
CASES: list[Any] = [case for path in UNIT_TESTS for case in yaml.safe_load(path.read_text())["tests"]]
QUERIES = [query.expression for panel in panels() for query in panel.queries]
EXPRESSIONS = [rule["expr"] for group in GROUPS for rule in group["rules"]] + QUERIES
BY_PROMETHEUS = {"job", "instance"}


def samples() -> dict[str, set[str]]:
    """The name of every sample that a replica may say, and its labels."""
    found: dict[str, set[str]] = {}
    for collector in list(Metrics("test").registry._collector_to_names):
        [family] = collector.describe()  # type: ignore[attr-defined]
        labels = set(collector._labelnames)  # type: ignore[attr-defined]
        match family.type:
            case "counter":
                found[f"{family.name}_total"] = labels
            case "histogram":
                found |= {f"{family.name}_bucket": labels | {"le"}, f"{family.name}_sum": labels}
                found[f"{family.name}_count"] = labels
            case _:
                found[family.name] = labels
    return found


SAMPLES = samples()


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_no_fault() -> None:
    run(program("promtool"), "check", "config", CONFIGURATION)
    run(program("promtool"), "check", "rules", RULES)


def test_alerts_fire_when_they_should_and_only_then() -> None:
    run(program("promtool"), "test", "rules", *UNIT_TESTS)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.name)
def test_cases_are_judged_in_the_order_of_the_groups(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["group_eval_order"] == [group["name"] for group in GROUPS]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    checks = [
        (bool(check["exp_alerts"]), number)
        for number, case in enumerate(CASES)
        for check in case.get("alert_rule_test", [])
        if check["alertname"] == alert
    ]
    firing = {number for fires, number in checks if fires}
    # Both on the same series: on none at all nothing would fire either.
    assert firing & {number for fires, number in checks if not fires}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_where_it_is_explained(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{alert.lower()}"
    section = DOCUMENT.split(f"\n### {alert}\n")[1].split("\n#")[0]
    assert re.search(r"^Do: ", section, re.MULTILINE)


def test_no_section_explains_an_alert_that_there_is_not() -> None:
    assert re.findall(r"^### (WebEDT\w+)$", DOCUMENT, re.MULTILINE) == list(ALERTS)


def test_rules_and_dashboard_ask_for_what_replicas_say() -> None:
    asked = {name for text in EXPRESSIONS for name in re.findall(r"(?<![\w:])webedt_\w+", text)}
    assert len(asked) > 20
    assert asked - SAMPLES.keys() == set()
    recorded = {name for text in EXPRESSIONS for name in re.findall(r"\bjob:\w+:\w+", text)}
    assert recorded - RECORDED == set()


def test_rules_and_dashboard_match_labels_that_there_are() -> None:
    for text in EXPRESSIONS:
        for name, selector in re.findall(r"(?<![\w:])(webedt_\w+)\{([^}]*(?:\{[^}]*\}[^}]*)*)\}", text):
            used = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', selector))
            assert used - SAMPLES[name] - BY_PROMETHEUS == set(), text


def test_the_series_of_the_unit_tests_are_such_as_replicas_have() -> None:
    for case in CASES:
        for item in case["input_series"]:
            name, selector = re.fullmatch(r"(\w+)\{(.*)\}", item["series"]).groups()  # type: ignore[union-attr]
            labels = set(re.findall(r'(\w+)="', selector))
            assert labels == (BY_PROMETHEUS if name == "up" else SAMPLES[name] | BY_PROMETHEUS), item["series"]


def test_it_scrapes_the_replicas_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    configuration = yaml.safe_load(CONFIGURATION.read_text())
    [job] = [one for one in configuration["scrape_configs"] if one["job_name"] == "webedt"]
    [discovery] = job["dns_sd_configs"]
    assert set(discovery["names"]) <= compose["services"].keys()
    assert (discovery["type"], discovery["port"]) == ("A", Settings().port)
    # The rules count on several samples in each time that they look back.
    assert configuration["global"]["scrape_interval"] == "15s"
    assert {job["job_name"] for job in configuration["scrape_configs"]} >= set(
        re.findall(r'job="(\w+)"', " ".join(EXPRESSIONS))
    )


def test_on_kubernetes_the_same_rules_find_the_same_series(tmp_path: Path) -> None:
    monitor = yaml.safe_load((OPTIONAL / "servicemonitor.yaml").read_text())
    service = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "base" / "service.yaml").read_text())
    # The operator names the job after the service, and has a label `container` of its own.
    assert set(re.findall(r'job="(\w+)"', RULES.read_text())) == {service["metadata"]["name"]}
    assert [endpoint["honorLabels"] for endpoint in monitor["spec"]["endpoints"]] == [True]
    [command] = re.findall(r"^(\(cat .*\)) \| kubectl apply -f -$", DOCUMENT, re.MULTILINE)
    made = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, check=True, text=True)
    resource = yaml.safe_load(made.stdout)
    assert (resource["kind"], resource["spec"]) == ("PrometheusRule", {"groups": GROUPS})


def test_every_panel_says_what_it_shows_and_stands_where_no_other_does() -> None:
    found = panels()
    assert len({panel.title for panel in found if panel.kind != "row"}) > 30
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel.place
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel.title
        assert place["x"] + place["w"] <= 24
        assert panel.kind == "row" or panel.description
        taken |= cells


def test_rules_in_another_time_ask_the_same() -> None:
    assert hastened("expr: rate(x[5m]) > 5\nfor: 1h", 60) == "expr: rate(x[5000ms]) > 5\nfor: 60000ms"
    text = hastened(RULES.read_text(), 120)
    assert not re.search(r"\[\d+[smhd]\]|\bfor: \d+[smhd]$", text, re.MULTILINE)
    units = re.compile(r"(?:\[|for: )\d+\w+")
    assert units.sub("", text) == units.sub("", RULES.read_text())
