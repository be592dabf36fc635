"""Notifications between replicas are lost or late: the sweep delivers without them (G2, G5)."""

import asyncio
import contextlib
import statistics
import time
from typing import NamedTuple

from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, commit_delays, judge
from tests.support.fleet import Caller, Fleet
from tests.support.fleet_notifications import NotificationFaults
from tests.support.fleet_proxy import proxied

BOUND_SECONDS = 2.0
SLACK_SECONDS = 8.0  # a busy machine; the figures are printed


class Trouble(NamedTuple):
    name: str
    lost_share: float
    longest_delay_seconds: float = 0.0
    spare_pings: bool = False


# The third is the worst: nobody notices that anything is wrong, so that nobody looks more often than usual.
TROUBLES = (
    Trouble("half lost", 0.5),
    Trouble("all lost", 1.0),
    Trouble("all lost but a replica's own", 1.0, spare_pings=True),
    Trouble("up to 3 s late", 0.0, longest_delay_seconds=3.0),
)


async def notifications(lab: Lab) -> Report:
    """Each replica's LISTEN connection is there and answers, but notifications come late or never."""
    report = Report("notifications", "notifications to all replicas lost or late, their LISTEN connections being well")
    faults = NotificationFaults(lab.dice)
    async with contextlib.AsyncExitStack() as closing:
        proxies = [await closing.enter_async_context(proxied(lab.database_url)) for _ in range(2)]
        for proxy in proxies:
            proxy.notifications = faults
        fleet, caller = await closing.enter_async_context(
            lab.fleet(database_url=[proxy.url for proxy in proxies], lease_seconds=10.0)
        )
        load = Load(caller)
        delays: dict[str, list[float]] = {trouble.name: [] for trouble in TROUBLES}
        for _ in range(lab.often(1, 3)):
            for trouble in TROUBLES:
                faults.lost_share, faults.longest_delay_seconds, faults.spare_pings = trouble[1:]
                delays[trouble.name] += await _read_elsewhere(lab, load, fleet)
        for name, waits in delays.items():
            report.recoveries += waits
            report.notes.append(f"{name}: {statistics.median(waits):.2f} s (median), {max(waits):.2f} s (max)")
        faults.lost_share, faults.spare_pings = 1.0, True
        await _interrupt_unheard(report, load, fleet, caller)
        await load.finish(report)
        await judge(report, load, lab.database_url)
        report.times = faults.lost + faults.late
        report.notes.append("time: from the commit to a reader on another replica")
        worst = max(report.recoveries)
        report.require(worst <= BOUND_SECONDS + SLACK_SECONDS, f"an event came {worst:.1f} s late")
        for replica in fleet.replicas:
            report.require(not replica.logged("task_crashed"), "a task crashed")
    return report


async def _read_elsewhere(lab: Lab, load: Load, fleet: Fleet) -> list[float]:
    """Seconds from commit to reader, of runs on each replica whose readers are on the other one."""
    runs, rate, seconds = lab.pick((4, 20, 1), (30, 20, 15))
    first, second = fleet.replicas
    mine = []
    for number in range(runs):
        driver, other = (first, second) if number % 2 else (second, first)
        run = await load.run(driver, rate * seconds, rate, [[other]])
        mine += load.readers_of(run)
    await asyncio.gather(*(reader.until(lambda one: bool(one.endings), "the run ends") for reader in mine))
    # What was committed before the reader came is not late.
    return [delay for of_reader in await commit_delays(lab.database_url, mine) for delay in of_reader[5:]]


async def _interrupt_unheard(report: Report, load: Load, fleet: Fleet, caller: Caller) -> None:
    """The driver is not told that its run is to stop; it finds that out by itself."""
    driver, other = fleet.replicas
    run = await load.run(driver, 100_000, 20, [[driver]])
    (reader,) = load.readers_of(run)
    await reader.has_seen(10)
    began = time.monotonic()
    status = await caller.interrupt(other, run)
    report.require(status == 202, f"the interrupt was answered {status}")
    await reader.until(lambda one: bool(one.endings), "the run is interrupted")
    report.require(reader.outcomes.get(run.run_id) == "interrupted", f"the run ended as {reader.outcomes}")
    report.notes.append(f"an interrupt that the driver was not told of: {time.monotonic() - began:.2f} s")
