"""Redis goes away, in every way there is, while a fleet streams through it: PostgreSQL takes over and gives back."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, commit_delays, judge
from tests.support.fleet import Fleet, Replica, eventually
from tests.support.fleet_reader import Reader
from tests.support.redis_server import RedisServer, redis_missing, redis_server

RATE = 25
SLACK_SECONDS = 8.0  # a busy machine; the figures are printed


async def redis(lab: Lab) -> Report:
    """kill -9 and SIGSTOP of Redis, and kill -9 of a replica; readers are where their runs are not driven."""
    report = Report("redis", "Redis killed and restarted, then frozen while a replica is killed, mid-run")
    if missing := redis_missing():
        report.skipped = missing
        return report
    with redis_server() as server:
        async with lab.fleet(3, lease_seconds=2.0, MAX_ATTEMPTS="20", REDIS_URL=server.url) as (fleet, caller):
            load = Load(caller)
            await _all_use(fleet, "redis")
            # The length of it all is not known: the runs are interrupted in the end.
            for number in range(lab.pick(3, 30)):
                driver, *others = (fleet[(number + shift) % 3] for shift in range(3))
                await load.run(driver, 100_000, RATE, [others])
            await load.until(lambda reader: reader.last_id >= RATE, "all runs are under way")
            for _ in range(lab.often(1, 10)):
                report.recoveries += await _kill(server, load.readers, fleet)
                report.recoveries += await _freeze(lab, server, load.readers, fleet)
                report.times += 2
            for run in load.runs:
                report.require(await caller.interrupt(_running(fleet)[0], run) == 202, "an interrupt was not taken")
            await load.finish(report)
            await judge(report, load, lab.database_url)
            await _judge_delays(report, load, lab.database_url)
            used = sum([await replica.metric("webedt_bus_frames_total", outcome="used") for replica in _running(fleet)])
            report.require(used, "no event came by Redis")
    worst = max(report.recoveries)
    report.require(worst <= 2.0 + SLACK_SECONDS, f"readers waited {worst:.1f} s")
    return report


async def _kill(server: RedisServer, readers: Sequence[Reader], fleet: Fleet) -> list[float]:
    """Seconds until each reader saw the next event, of the fault and of its end."""
    killed = time.monotonic()
    server.kill()
    waited = await _next(readers, killed)
    await _all_use(fleet, "postgres")
    started = time.monotonic()
    server.start()
    await _all_use(fleet, "redis")
    return waited + await _next(readers, started)


async def _freeze(lab: Lab, server: RedisServer, readers: Sequence[Reader], fleet: Fleet) -> list[float]:
    """The same, and while Redis is frozen a replica is killed and its runs are taken over."""
    frozen = time.monotonic()
    server.freeze()
    waited = await _next(readers, frozen)
    victim = lab.dice.choice(fleet.replicas)
    victim.kill()
    killed = time.monotonic()
    for reader in readers:
        if reader.drivers[-1] == victim.name:
            await reader.until(
                lambda one: one.first_mark("run_recovered", after=killed) is not None, "another replica goes on", 60
            )
    await _all_use(fleet, "postgres")
    thawed = time.monotonic()
    server.thaw()
    await _all_use(fleet, "redis")
    waited += await _next(readers, thawed)
    if not lab.short:
        victim.start()
        await victim.ready()
        await _all_use(fleet, "redis")
    return waited


async def _next(readers: Sequence[Reader], since: float) -> list[float]:
    """Of an event that was committed afterwards: one that was on its way then proves nothing."""
    before = [reader.last_id for reader in readers]
    await asyncio.gather(
        *(reader.has_seen(last_id + 2) for reader, last_id in zip(readers, before, strict=True)),
    )
    return [reader.arrived[last_id + 1] - since for reader, last_id in zip(readers, before, strict=True)]


async def _all_use(fleet: Fleet, way: str) -> None:
    async def uses(replica: Replica) -> bool:
        status, body = await replica.probe("/health/status")
        return status == 200 and body["bus"]["ways"] == [way]

    for replica in _running(fleet):
        await eventually(lambda replica=replica: uses(replica), f"{replica.name} uses {way} alone")  # type: ignore[misc]


def _running(fleet: Fleet) -> list[Replica]:
    return [replica for replica in fleet.replicas if replica.running]


async def _judge_delays(report: Report, load: Load, database_url: str) -> None:
    """Of all events, those of the faults and those between them."""
    delays = sorted(
        delay for of_reader in await commit_delays(database_url, load.readers) for delay in of_reader[RATE:]
    )
    report.notes.append(
        f"from the commit to a reader elsewhere: {statistics.median(delays) * 1000:.1f} ms (median), "
        f"{delays[len(delays) * 99 // 100] * 1000:.0f} ms (p99), {delays[-1]:.2f} s (max)"
    )
