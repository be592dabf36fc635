"""`scripts/capacity`: what a workload needs and what is full first, from the figures of `docs/benchmarks.md`."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields

from tests.capacity.comparison import Compared, compare
from tests.capacity.document import DOCUMENT, write_into
from tests.capacity.measured import Figures, prices, read_figures
from tests.capacity.model import Deployment, Resource, Verdict, Workload, verdict

STEPS = ((100, "notify"), (10_000, "notify"), (10_000, "redis"), (1_000_000, "redis"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(arguments)
    cost = prices(read_figures())
    if args.write:
        write_into(DOCUMENT, contents())
        return 0
    if args.simulation:
        print(simulation_table(compare(read_figures(), cost)))
        return 0
    given = {key: value for key, value in vars(args).items() if value is not None}
    if "streams" not in given and "unwatched_sessions" not in given:
        print(steps_table())
        return 0
    workload = Workload(**{"streams": 0, **_only(Workload, given)})
    deployment = Deployment(**_only(Deployment, given))
    try:
        found = verdict(workload, deployment, cost)
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(as_json(found)) if args.json else table(found))
    return 0 if found.enough else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/capacity", description=__doc__)
    for kind, default in ((Workload, Workload(streams=0)), (Deployment, Deployment())):
        group = parser.add_argument_group(kind.__name__.lower())
        for item in fields(kind):
            value = getattr(default, item.name)
            choices = ("notify", "redis") if item.name == "bus" else None
            name = f"--{item.name.replace('_', '-')}"
            group.add_argument(name, type=type(value), choices=choices, help=f"{value:,}" if not choices else value)
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--simulation", action="store_true", help="the simulation beside the fleets that were measured")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    return parser


def _only(kind: type, given: dict[str, object]) -> dict[str, object]:
    return {item.name: given[item.name] for item in fields(kind) if item.name in given}


# Showing -------------------------------------------------------------------------------------------------------------


def table(found: Verdict) -> str:
    rows = [f"{_replicas(found)}; first full: {found.bottleneck.name}", ""]
    rows += ["| resource | load | capacity | full |", "| --- | ---: | ---: | ---: |"]
    rows += [
        f"| {one.name} | {_amount(one.load, one.unit)} | {_amount(one.capacity, one.unit)} | {one.utilisation:.0%} |"
        for one in found.resources
    ]
    return "\n".join(rows)


def as_json(found: Verdict) -> dict[str, object]:
    return {
        "replicas": found.replicas,
        "enough": found.enough,
        "bottleneck": found.bottleneck.name,
        "resources": [
            {**asdict(one), "capacity": None if math.isinf(one.capacity) else one.capacity, "full": one.utilisation}
            for one in found.resources
        ],
    }


def steps_table() -> str:
    """The steps of `docs/scaling.md`."""
    cost = prices(read_figures())
    found = {
        (streams, bus): verdict(Workload(streams=streams), Deployment(bus=bus), cost)  # type: ignore[arg-type]
        for streams, bus in STEPS
    }
    names = list(dict.fromkeys(one.name for verdict_ in found.values() for one in verdict_.resources))
    heads = [f"{streams:,}{', Redis' if bus == 'redis' else ''}" for streams, bus in STEPS]
    lines = [f"| streams | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    lines.append(f"| replicas | {' | '.join(f'{one.replicas:,}' for one in found.values())} |")
    for name in names:
        cells = [_cell(next((one for one in each.resources if one.name == name), None)) for each in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(f"| **first full** | {' | '.join(each.bottleneck.name for each in found.values())} |")
    return "\n".join(lines)


def simulation_table(compared: Sequence[Compared]) -> str:
    lines = ["| replicas | what | measured | simulated | error |", "| ---: | --- | ---: | ---: | ---: |"]
    for one in compared:
        error = "calibrated" if one.replicas == 1 and one.name.startswith("CPU") else f"{one.error:+.0%}"
        values = f"{_amount(one.measured, '')} | {_amount(one.simulated, '')}"
        lines.append(f"| {one.replicas} | {one.name} | {values} | {error} |")
    return "\n".join(lines)


def partitions_table(figures: Figures) -> str:
    """What was measured of both, side by side."""
    lines = ["| what | one table | in partitions |", "| --- | ---: | ---: |"]
    for (workload, name), value in figures.items():
        what, found, _ = name.partition(", one table")
        if workload == "partitions" and found:
            unit = "events/s" if what == "writer" else "µs"
            divided = figures[workload, f"{what}, in partitions"]
            lines.append(f"| {what} | {value:,.0f} {unit} | {divided:,.0f} {unit} |")
    return "\n".join(lines)


def contents() -> dict[str, str]:
    figures = read_figures()
    return {
        "steps": steps_table(),
        "simulation": simulation_table(compare(figures, prices(figures))),
        "partitions": partitions_table(figures),
    }


def _cell(one: Resource | None) -> str:
    if one is None:
        return ""
    return _amount(one.load, one.unit) + ("" if math.isinf(one.capacity) else f" ({one.utilisation:.0%})")


def _amount(value: float, unit: str) -> str:
    if math.isinf(value):
        return ""
    digits = 0 if value >= 100 or value == round(value) else 1 if value >= 1 else 2
    return f"{value:,.{digits}f}{'' if unit.startswith('/') else ' ' if unit else ''}{unit}"


def _replicas(found: Verdict) -> str:
    return f"{found.replicas:,} replicas" + ("" if found.enough else ", and that is not enough")


if __name__ == "__main__":
    sys.exit(main())
