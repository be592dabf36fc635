"""Metrics read back as plain numbers, for the page that shows them: sums over labels, and histograms."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Metric


class Readings:
    """One reading of all families, by the names that the exposition has."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples = [sample for family in families for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum over every label that is not named; 0 for what was never counted."""
        return float(sum(sample.value for sample in self._find(name, labels)))

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """The sums by the values of one label."""
        found: dict[str, float] = {}
        for sample in self._find(name, {}):
            found[sample.labels[label]] = found.get(sample.labels[label], 0.0) + sample.value
        return found

    def histogram(self, name: str, **labels: str) -> tuple[float, float, list[tuple[float, float]]]:
        """Count, sum, and (upper bound, count at or below it) of each finite bucket."""
        buckets: dict[float, float] = {}
        for sample in self._find(f"{name}_bucket", labels):
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
        count = buckets.pop(float("inf"), 0.0)
        return count, self.total(f"{name}_sum", **labels), sorted(buckets.items())

    def _find(self, name: str, labels: Mapping[str, str]) -> list[Any]:
        return [
            sample
            for sample in self._samples
            if sample.name == name and all(sample.labels.get(label) == value for label, value in labels.items())
        ]
