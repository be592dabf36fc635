"""Who does the periodic work: one replica at a time, and another when that one is gone (leases and fencing)."""

import asyncio
import time

from tests.chaos.audit import ask
from tests.chaos.lab import Lab, Report
from tests.support.fleet import Fleet, Replica, eventually

TASK = "orphans"
LEASE_SECONDS = 5.0


async def leadership(lab: Lab) -> Report:
    """The leader is killed, or frozen beyond its lease, in turns."""
    report = Report("leadership", "leader of three replicas killed or frozen beyond its lease, in turns")
    async with lab.fleet(3, lease_seconds=2.0, ORPHAN_CLEANUP_INTERVAL_MINUTES="0.01") as (fleet, _caller):
        for number in range(lab.often(1, 20)):
            leader, fencing = await eventually(lambda: _leader(lab, fleet), "somebody leads")
            await _claimed_by_one(report, fleet)
            frozen = number % 2 == 0
            (leader.freeze if frozen else leader.kill)()
            failed = time.monotonic()
            successor, later = await eventually(lambda old=leader: _leader(lab, fleet, old), "another one leads")
            report.recoveries.append(time.monotonic() - failed)
            report.times += 1
            report.require(later > fencing, f"fencing went from {fencing} to {later}")
            if frozen:
                leader.thaw()
                await eventually(lambda old=leader: _stood_down(old), "the old leader stands down")
            else:
                leader.start()
                await leader.ready()
            still, _fencing = await eventually(lambda: _leader(lab, fleet), "somebody leads")
            report.require(still is successor, f"{still.name} took the lead back from {successor.name}")
        await _claimed_by_one(report, fleet)
    return report


async def _leader(lab: Lab, fleet: Fleet, not_this: Replica | None = None) -> tuple[Replica, int] | None:
    rows = await ask(
        lab.database_url,
        "SELECT i.container_id, l.fencing FROM leases l JOIN instances i ON i.id = l.holder"
        " WHERE l.name = $1 AND l.expires_at > clock_timestamp()",
        TASK,
    )
    holder = next((one for one in fleet.replicas if rows and one.name == rows[0]["container_id"]), None)
    return None if holder is None or holder is not_this else (holder, rows[0]["fencing"])


async def _claimed_by_one(report: Report, fleet: Fleet) -> None:
    """By what the replicas themselves say."""

    async def claims() -> list[float]:
        return await asyncio.gather(*(replica.metric("webedt_leader", task=TASK) for replica in fleet.replicas))

    async def one() -> bool:
        found = await claims()
        report.require(sum(found) <= 1, f"{sum(found):g} replicas say that they lead")
        return sum(found) == 1

    await eventually(one, "one replica says that it leads")


async def _stood_down(replica: Replica) -> bool:
    return await replica.metric("webedt_leader", task=TASK) == 0
