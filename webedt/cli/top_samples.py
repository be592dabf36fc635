"""What a fleet's probes say at one moment, and what two such moments say together: rates and quantiles. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """One answer of one URL: `status` of `/health/status`, `metrics` by name and labels, or the `fault`."""

    url: str
    taken_at: float
    status: dict[str, Any] = field(default_factory=dict)
    metrics: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    fault: str = ""

    @property
    def container(self) -> str:
        """Who answered; behind a balancer it may be another one each time."""
        return str(self.status.get("container") or "")

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of the samples of this name with these labels; None if there are none."""
        wanted = set(labels.items())
        found = [value for (one, given), value in self.metrics.items() if one == name and wanted <= set(given)]
        return sum(found) if found else None


def read_metrics(text: str) -> dict[tuple[str, Labels], float]:
    """The samples of Prometheus text; a line that is none is passed over."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#") and (found := _SAMPLE.match(line)):
            try:
                samples[found[1], tuple(sorted(_LABEL.findall(found[2] or "")))] = float(found[3])
            except ValueError:
                continue
    return samples


def rate(before: Sample, after: Sample, name: str) -> float | None:
    """How much a counter grew in a second. A counter that fell began anew with its process."""
    old, new, seconds = before.total(name), after.total(name), after.taken_at - before.taken_at
    if old is None or new is None or seconds <= 0:
        return None
    return (new - old if new >= old else new) / seconds


def quantile(before: Sample, after: Sample, name: str, share: float) -> float | None:
    """The seconds below which `share` of what a histogram counted in between lie, as Prometheus estimates it.

    None if nothing was counted; infinite if it lies beyond the last bucket.
    """
    counts = _buckets(after, name)
    for bound, count in _buckets(before, name).items():
        counts[bound] = counts.get(bound, 0.0) - count
    if any(count < 0 for count in counts.values()):
        counts = _buckets(after, name)
    bounds = sorted(counts)
    if not bounds or counts[bounds[-1]] <= 0:
        return None
    wanted, lower, below = share * counts[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= wanted:
            if bound == float("inf"):
                return bound
            return lower + (bound - lower) * (wanted - below) / max(counts[bound] - below, 1e-9)
        lower, below = bound, counts[bound]
    return None


def _buckets(sample: Sample, name: str) -> dict[float, float]:
    """Cumulated counts by upper bound, all series of the histogram together."""
    counts: dict[float, float] = {}
    for (one, labels), value in sample.metrics.items():
        if one == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            counts[bound] = counts.get(bound, 0.0) + value
    return counts


def earliest_like(samples: Iterable[Sample], latest: Sample) -> Sample:
    """The oldest of `samples` that the same replica gave without a fault; else `latest` itself."""
    return next((one for one in samples if not one.fault and one.container == latest.container), latest)
