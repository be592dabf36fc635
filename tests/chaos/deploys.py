"""Replicas that are told to stop while they work, as every deploy does (G6)."""

import asyncio

from tests.chaos.audit import Audit
from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, judge
from tests.support.fleet import Caller, Fleet, Replica, eventually

MOVE_SECONDS = 1.0
SLACK_SECONDS = 14.0  # a busy machine; the figures are printed


async def drain(lab: Lab) -> Report:
    """SIGTERM under load: not ready at once, streams end cleanly, runs go on elsewhere, exit 0."""
    runs, readers, rate = lab.pick((8, 4, 25), (50, 4, 20))
    report = Report("drain", f"SIGTERM of the replica that drives {runs} runs with {runs * readers} readers")
    async with lab.fleet(2, lease_seconds=10.0, LB_DRAIN_DELAY_SECONDS="1") as (fleet, caller):
        load = Load(caller)
        for number in range(lab.often(1, 6)):
            going, staying = fleet[number % 2], fleet[1 - number % 2]
            routes = [[going, staying], [staying]] * (readers // 2)
            before = len(load.readers)
            for _ in range(runs):
                await load.run(going, int(rate * lab.pick(3, 10)), rate, routes)
            fresh = load.readers[before:]
            await asyncio.gather(*(reader.has_seen(rate) for reader in fresh))
            going.terminate()
            report.times += 1
            await eventually(lambda one=going: _is_draining(one), "/ready says draining, /live alive", 5)
            report.require(await going.ended() == 0, f"{going.name} ended with {going.process.returncode}")
            going.start()
            await going.ready()
            await load.finish(report)
            for reader in fresh:
                # One connection alone: the run was over before its replica was told to stop (on a busy machine) or,
                # behind a balancer, driven elsewhere and over while this one still served.
                told = reader.drained or reader.containers[0] != going.name or len(reader.containers) == 1
                report.require(
                    told, f"streams ended without `draining`, e.g. on {reader.containers}, cut {reader.cuts}"
                )
        found = await judge(report, load, lab.database_url, graceful=True)
        _judge_moves(report, found)
        report.require(report.recoveries, "no run was handed over")
    return report


async def _is_draining(replica: Replica) -> bool:
    return (await replica.probe("/ready"))[0] == 503 and (await replica.probe("/live"))[0] == 200


def _judge_moves(report: Report, found: Audit) -> None:
    """How long a run stood still when it was handed over, by the database's clock; nobody was lost on the way."""
    for run in found.runs.values():
        report.recoveries += run.moves
        report.require(run.status == "completed", f"run {run.run_id} is {run.status}")
        report.require(
            run.attempts == run.handovers + 1, f"run {run.run_id} was lost {run.attempts - run.handovers - 1}x"
        )
    worst = max(report.recoveries, default=0)
    report.require(worst <= MOVE_SECONDS + SLACK_SECONDS, f"a run stood still for {worst:.1f} s")


async def rolling(lab: Lab) -> Report:
    """Three replicas restarted one after the other, while prompts keep coming."""
    slots, rounds = lab.pick((6, 1), (30, 2))
    report = Report("rolling", f"rolling restart of three replicas under {slots} continuous runs, {slots * 2} readers")
    async with lab.fleet(3, lease_seconds=10.0) as (fleet, caller):
        load = Load(caller)
        over = asyncio.Event()
        keeping = [asyncio.create_task(keep_busy(load, caller, fleet, slot, over)) for slot in range(slots)]
        await eventually(lambda: len(load.readers) == slots * 2, "every slot has its first run")
        for number in range(3 * lab.often(rounds, rounds)):
            replica = fleet[number % 3]
            replica.terminate()
            report.times += 1
            report.require(await replica.ended() == 0, f"{replica.name} ended with {replica.process.returncode}")
            replica.start()
            await replica.ready()
        over.set()
        await asyncio.gather(*keeping)
        await load.finish(report)
        found = await judge(report, load, lab.database_url, graceful=True)
        _judge_moves(report, found)
        report.notes.append(f"{len(found.runs)} runs, {len(report.recoveries)} hand-overs")
    return report


async def keep_busy(load: Load, caller: Caller, fleet: Fleet, slot: int, over: asyncio.Event) -> None:
    """One run after the other, each started wherever a balancer finds a replica, with two readers."""
    number = 0
    while not over.is_set():
        turn = (slot + number) % 3
        replicas = fleet.replicas[turn:] + fleet.replicas[:turn]
        run = await caller.start_somewhere(replicas, f"[[tokens=60 rate=30]] {slot}/{number}")
        first, _second = load.watch(run, [replicas, replicas[::-1]])
        await first.until(lambda one: bool(one.endings), "the run ends", 90)
        number += 1
