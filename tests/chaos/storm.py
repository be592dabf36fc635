"""Everything at once: whatever the other scenarios break one by one, at random, on all replicas."""

import asyncio
import contextlib
import time

from tests.chaos.audit import ask
from tests.chaos.deploys import keep_busy
from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, judge
from tests.chaos.outages import KILL_ALL
from tests.support.fleet import Replica
from tests.support.fleet_proxy import FaultyProxy, proxied

FAULTS = ("kill", "terminate", "freeze", "blackhole", "cut", "backends")


async def storm(lab: Lab) -> Report:
    """Faults that overlap, on three replicas that each have their own way to the database."""
    seconds, slots = lab.pick((5, 5), (120, 15))
    report = Report("storm", f"kill, SIGTERM, SIGSTOP, lost and silent connections at random for {seconds} s")
    async with contextlib.AsyncExitStack() as closing:
        proxies = [await closing.enter_async_context(proxied(lab.database_url)) for _ in range(3)]
        urls = [proxy.url for proxy in proxies]
        fleet, caller = await closing.enter_async_context(
            lab.fleet(database_url=urls, lease_seconds=2.0, MAX_ATTEMPTS="100", SHUTDOWN_TIMEOUT_SECONDS="5")
        )
        load = Load(caller)
        over = asyncio.Event()
        keeping = [asyncio.create_task(keep_busy(load, caller, fleet, slot, over)) for slot in range(slots)]
        weather = [
            asyncio.create_task(_worsen(lab, report, replica, proxy, time.monotonic() + seconds))
            for replica, proxy in zip(fleet.replicas, proxies, strict=True)
        ]
        await asyncio.gather(*weather)
        over.set()
        await asyncio.gather(*keeping)
        await load.finish(report)
        found = await judge(report, load, lab.database_url)
        for run in found.runs.values():
            report.require(run.status == "completed", f"run {run.run_id} is {run.status}")
        moves = sum(len(run.moves) for run in found.runs.values())
        report.recoveries = [wait for run in found.runs.values() for wait in run.moves]
        report.notes.append(f"{len(found.runs)} runs, moved {moves} times; time: how long a run stood still")
    return report


async def _worsen(lab: Lab, report: Report, replica: Replica, proxy: FaultyProxy, until: float) -> None:
    """One fault after the other on one replica, which is well in the end."""
    while time.monotonic() < until:
        await asyncio.sleep(lab.dice.uniform(0.5, 6.0))  # how often it strikes
        lasts = lab.dice.uniform(0.0, 4.0)
        fault = lab.dice.choice(FAULTS)
        report.times += 1
        match fault:
            case "kill":
                replica.kill()
                replica.start()
                await replica.ready()
            case "terminate":
                replica.terminate()
                status = await replica.ended()
                report.require(status == 0, f"{replica.name} ended with {status}")
                replica.start()
                await replica.ready()
            case "freeze":
                replica.freeze()
                await asyncio.sleep(lasts)
                replica.thaw()
            case "blackhole":
                proxy.blackhole()
                await asyncio.sleep(lasts)
                proxy.heal()
            case "cut":
                proxy.cut()
            case "backends":
                await ask(lab.database_url, KILL_ALL, "webedt-%")
