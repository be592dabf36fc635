"""What a workload answers, and how it is shown: figures, the table, the document that keeps the last ones."""

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MARKER = "<!-- figures -->"
HEAD = "| workload | what | measured | target |\n| --- | --- | ---: | --- |"


@dataclass(frozen=True)
class Figure:
    """`target`: such as ">= 30000"; empty for a baseline, which is there to compare with."""

    workload: str
    name: str
    value: float
    unit: str
    target: str = ""

    @property
    def reached(self) -> bool | None:
        if not self.target:
            return None
        sign, bound = self.target.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)

    @property
    def row(self) -> str:
        mark = {None: "", True: "reached", False: "MISSED"}[self.reached]
        digits = 0 if self.value >= 100 else 1 if self.value >= 1 else 2
        value = f"{self.value:,.{digits}f} {self.unit}".strip()
        return f"| {self.workload} | {self.name} | {value} | {f'{self.target} {mark}'.strip()} |"


@contextlib.contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Seconds of the block, as the only element of the list."""
    taken: list[float] = []
    started = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - started)


def p50_and_p99(
    workload: str, name: str, seconds: Sequence[float], targets: tuple[str, str] = ("", "")
) -> list[Figure]:
    p99 = statistics.quantiles(seconds, n=100)[98] if len(seconds) > 1 else seconds[0]
    return [
        Figure(workload, f"{name}, p50", statistics.median(seconds) * 1000, "ms", targets[0]),
        Figure(workload, f"{name}, p99", p99 * 1000, "ms", targets[1]),
    ]


def table(figures: Sequence[Figure]) -> str:
    return "\n".join([HEAD, *(one.row for one in figures)])


def write_into(document: Path, figures: Sequence[Figure], order: Sequence[str], machine: str) -> None:
    """Replace the rows of the workloads that were measured; those of others stay as they are."""
    head, _, old = document.read_text().partition(MARKER)
    rows: dict[str, list[str]] = {}
    for line in old.splitlines():
        if line.startswith("| ") and not line.startswith(("| workload ", "| --- ")):
            rows.setdefault(line.split(" | ")[0].removeprefix("| "), []).append(line)
    for name in {one.workload for one in figures}:
        rows[name] = [one.row for one in figures if one.workload == name]
    lines = [line for name in order for line in rows.get(name, [])]
    document.write_text("\n".join([f"{head}{MARKER}\n", f"{machine}\n", HEAD, *lines]) + "\n")
