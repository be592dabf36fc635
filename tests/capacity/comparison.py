"""The simulation beside the fleets that were measured, at one, two and three replicas.

Of a measured fleet the simulation is told how many events came a second and how long its appends took (the machine and
its disk are shared), and at one replica how many times its price everything costs: prices come from tight loops, and a
fleet that has little to do finds its caches cold. What it says about two and three is its own.
"""

from dataclasses import dataclass, replace

from tests.bench.fleet import SESSIONS, SIZES
from tests.capacity.measured import Figures, Prices
from tests.capacity.simulation import Course, Fleet, simulate

NAMES = {
    "events in a commit": "events_per_commit",
    "reads of the log": "reads_per_event",
    "CPU of the replicas": "replica_cpu_us",
    "CPU of PostgreSQL": "database_cpu_us",
}


@dataclass(frozen=True)
class Compared:
    replicas: int
    name: str
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        return self.simulated / self.measured - 1


def compare(figures: Figures, prices: Prices, seconds: float = 2.0) -> list[Compared]:
    """Calibrated by two numbers at one replica: how many times its price the CPU of an event is there."""
    found = []
    times = {"replica_cpu_us": 1.0, "database_cpu_us": 1.0}
    for replicas in SIZES:
        measured = measured_fleet(figures, replicas)
        rate = measured["events"] / SESSIONS
        fleet = Fleet(replicas=replicas, sessions=SESSIONS, events_per_session_second=rate, seconds=seconds)
        course = simulate(fleet, replace(prices, append_seconds=measured["append, sent to answered, p50"] / 1000))
        if replicas == 1:
            times = {key: measured[name] / _of(course, key) for name, key in NAMES.items() if key in times}
        for name, key in NAMES.items():
            if measured[name] >= 0.1:  # with one replica nobody reads elsewhere
                found.append(Compared(replicas, name, measured[name], _of(course, key) * times.get(key, 1.0)))
    return found


def measured_fleet(figures: Figures, replicas: int) -> dict[str, float]:
    """What was measured of a fleet of that size, by name."""
    label = "1 replica: " if replicas == 1 else f"{replicas} replicas: "
    return {
        name.removeprefix(label): value
        for (workload, name), value in figures.items()
        if workload == "fleet" and name.startswith(label)
    }


def _of(course: Course, key: str) -> float:
    return float(getattr(course, key))
