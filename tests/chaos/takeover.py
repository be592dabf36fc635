"""Replicas that die, freeze or lose their database while they drive runs (G3, G4)."""

import asyncio
import time
from collections.abc import Callable

from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, judge
from tests.support.fleet import Fleet, eventually
from tests.support.fleet_proxy import proxied
from tests.support.fleet_reader import Reader

TOKENS = 150
RATE = 50.0
RUNS_A_KILL = 3
SLACK_SECONDS = 15.0  # a busy machine; the figures are printed


async def takeover(lab: Lab) -> Report:
    """kill -9 of the driving replica at a random moment, lease 2 s."""
    return await _kill_drivers(lab, Report("takeover", "kill -9 of the driving replica, lease 2 s"), 2.0, 3.0)


async def takeover_default(lab: Lab) -> Report:
    """kill -9 of the driving replica at a random moment, default lease."""
    report = Report("takeover-default", "kill -9 of the driving replica, lease 10 s")
    return await _kill_drivers(lab, report, 10.0, 15.0)


async def _kill_drivers(lab: Lab, report: Report, lease_seconds: float, bound_seconds: float) -> Report:
    """Three replicas; one drives runs and is killed, readers are on the other two and on the one that dies."""
    async with lab.fleet(3, lease_seconds=lease_seconds, MAX_ATTEMPTS="20") as (fleet, caller):
        load = Load(caller)
        for number in range(lab.often(1, 50)):
            driver = fleet[number % 3]
            second, third = fleet.others(driver)
            runs = [
                await load.run(driver, TOKENS, RATE, [[second], [third, second], [driver, second, third]])
                for _ in range(RUNS_A_KILL)
            ]
            readers = load.readers_of(runs[0])
            await readers[0].has_seen(lab.dice.randrange(1, TOKENS))
            await asyncio.sleep(lab.dice.uniform(0, 0.02))  # not always just after a commit
            driver = fleet.named(readers[0].drivers[-1])  # a balancer may have chosen another one
            driver.kill()
            killed = time.monotonic()
            report.times += 1
            await asyncio.gather(*(_recovered(load.readers_of(run)[0], killed, lease_seconds) for run in runs))
            for run in runs:
                moved = load.readers_of(run)[0].first_mark("run_recovered", after=killed)
                if moved is not None:
                    report.recoveries.append(moved - killed)
            driver.start()
            await driver.ready()
        await load.finish(report)
        await judge(report, load, lab.database_url)
    report.require(max(report.recoveries, default=0) <= bound_seconds + SLACK_SECONDS, f"slower than {bound_seconds} s")
    return report


async def _recovered(reader: Reader, since: float, lease_seconds: float) -> None:
    await reader.until(
        lambda one: one.first_mark("run_recovered", "completed", after=since) is not None or bool(one.endings),
        "another replica goes on with the run",
        lease_seconds * 3 + 30,
    )


async def attempts(lab: Lab) -> Report:
    """Whoever drives the run is killed, until the run is given up."""
    report = Report("attempts", "kill -9 of whoever drives the run, until it is given up, lease 2 s")
    async with lab.fleet(3, lease_seconds=2.0, MAX_ATTEMPTS="2") as (fleet, caller):
        for _ in range(lab.often(1, 5)):
            load = Load(caller)
            run = await load.run(fleet[0], 100_000, 20, [fleet.replicas])
            reader = load.readers[0]
            for attempt in (1, 2):
                began = await _driver_of_attempt(reader, attempt)
                driver = fleet.named(began)
                driver.kill()
                killed = time.monotonic()
                report.times += 1
                await reader.until(lambda one, a=attempt: len(one.marks) > a, "the run is moved or given up")
                report.recoveries.append(time.monotonic() - killed)
                driver.start()
                await driver.ready()
            await load.finish(report)
            await judge(report, load, lab.database_url)
            report.require(reader.outcomes.get(run.run_id) == "failed", f"ended as {reader.outcomes}")
            status, answer = await caller.call(
                "GET", fleet[0], f"/api/sessions/{run.session_id}/events?after={reader.last_id - 1}"
            )
            code = answer["events"][0]["data"].get("code") if status == 200 else None
            report.require(code == "too_many_attempts", f"failed with {code}")
    return report


async def _driver_of_attempt(reader: Reader, attempt: int) -> str:
    """The container that says so in the log, once its attempt has said something more."""
    await reader.until(lambda one: len(one.marks) >= attempt, f"attempt {attempt} begins")
    begun = reader.last_id
    await reader.has_seen(begun + 2)
    return reader.drivers[attempt - 1]


# Fencing -------------------------------------------------------------------------------------------------------------


async def fencing(lab: Lab) -> Report:
    """SIGSTOP of the driving replica for longer than its lease, then SIGCONT."""
    report = Report("fencing", "SIGSTOP of the driving replica beyond its lease, then SIGCONT, lease 2 s")
    async with lab.fleet(2, lease_seconds=2.0, MAX_ATTEMPTS="20") as (fleet, caller):
        load = Load(caller)
        for _ in range(lab.often(1, 20)):
            await _move_away(lab, report, load, fleet, fleet[0].freeze, fleet[0].thaw)
        await load.finish(report)
        await judge(report, load, lab.database_url)
    return report


async def partition(lab: Lab) -> Report:
    """A proxy that swallows everything between the driving replica and the database, beyond its lease."""
    report = Report("partition", "all database connections of the driving replica blackholed beyond its lease of 2 s")
    async with (
        proxied(lab.database_url) as proxy,
        lab.fleet(database_url=[proxy.url, lab.database_url], lease_seconds=2.0, MAX_ATTEMPTS="20") as (fleet, caller),
    ):
        load = Load(caller)
        for _ in range(lab.often(1, 10)):
            await _move_away(lab, report, load, fleet, proxy.blackhole, proxy.heal)
            await fleet[0].ready()
        await load.finish(report)
        await judge(report, load, lab.database_url)
    return report


async def _move_away(
    lab: Lab, report: Report, load: Load, fleet: Fleet, fail: Callable[[], None], heal: Callable[[], None]
) -> None:
    """The first replica drives a run, fails, and is healed while the second drives it: it must notice, and stop."""
    old, new = fleet.replicas
    run = await load.run(old, TOKENS, RATE, [[new], [old, new]])
    reader = load.readers_of(run)[0]
    await reader.has_seen(lab.dice.randrange(5, TOKENS // 2))
    fail()
    failed = time.monotonic()
    report.times += 1
    await _recovered(reader, failed, fleet.lease_seconds)
    moved = reader.first_mark("run_recovered", after=failed)
    report.require(moved is not None, f"run {run.run_id} was not moved")
    report.recoveries.append((moved or failed) - failed)
    await reader.has_seen(reader.last_id + lab.dice.randrange(1, TOKENS // 3))
    heal()
    await eventually(
        lambda: any(run.run_id in line for line in old.logged("run_lost")), f"{old.name} drops the run that it lost"
    )
    for event in ("producer_fenced", "run_lost"):
        lines = [line for line in old.logged(event) if run.run_id in line]
        report.require(len(lines) <= 1, f"{old.name} logged {event} {len(lines)} times for one run")
