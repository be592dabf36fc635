"""The dashboard as Grafana would ask it: its panels, and their queries with the variables filled in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboard.json"


@dataclass(frozen=True)
class Query:
    expression: str
    legend: str

    def filled(self, rate_interval: str) -> str:
        """For all replicas, with rates over that time."""
        return self.expression.replace("$container", ".*").replace("$__rate_interval", rate_interval)

    def name(self, labels: dict[str, str]) -> str:
        """What the legend says of a series."""
        text = self.legend
        for label, value in labels.items():
            text = text.replace(f"{{{{{label}}}}}", value)
        return text if "{{" not in text else "none"


@dataclass(frozen=True)
class Panel:
    title: str
    description: str
    kind: str
    unit: str
    stacked: bool
    place: dict[str, int]
    queries: list[Query]
    steps: list[Any]
    colors: dict[str, str]
    """Of series by their names; the others have those that come."""


def panels() -> list[Panel]:
    """All of them, rows included, from above."""
    found = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        queries = [Query(target["expr"], target["legendFormat"]) for target in panel.get("targets", [])]
        stacked = defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal"
        overrides = panel.get("fieldConfig", {}).get("overrides", [])
        colors = {one["matcher"]["options"]: one["properties"][0]["value"]["fixedColor"] for one in overrides}
        steps = defaults.get("thresholds", {}).get("steps", [])
        found.append(
            Panel(
                title=panel["title"],
                description=panel.get("description", ""),
                kind=panel["type"],
                unit=defaults.get("unit", ""),
                stacked=stacked,
                place=panel["gridPos"],
                queries=queries,
                steps=steps,
                colors=colors,
            )
        )
    return found
