"""The disk of PostgreSQL is full, to the last block (G8)."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg

from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, all_say, begin, judge, moves, went_on
from tests.support.fleet import Caller, Fleet, Replica, eventually
from tests.support.small_disk import CannotMount, SmallDisk

# More than one segment of the write-ahead log: PostgreSQL must make the next one, cannot, and panics.
MORE_THAN_A_SEGMENT = "SELECT pg_logical_emit_message(true, 'chaos', repeat('x', 20000000))"


async def disk_full(lab: Lab) -> Report:
    """In turns: appends fail because a table cannot grow, and PostgreSQL dies because its log cannot."""
    megabytes, seconds = lab.pick((160, 0.5), (600, 5))
    report = Report(
        "disk-full", "disk of PostgreSQL filled mid-run until appends fail or, in turns, until it dies of it"
    )
    try:
        async with _small_disk(lab, megabytes) as disk:
            url = await lab.own_database()
            async with lab.fleet(2, database_url=url, lease_seconds=10.0) as (fleet, caller):
                ended: Counter[str] = Counter()
                for number in range(lab.often(2, 6)):
                    load = await begin(lab, fleet, caller, lab.pick(3, 15))
                    # However slow this machine is, somebody still has something to say when the disk is full.
                    endless = [await load.run(replica, 100_000, 20, [[replica]]) for replica in fleet.replicas]
                    await _fill_up(lab, report, url, disk, fleet, caller, load, seconds, deadly=number % 2 == 1)
                    for replica, run in zip(fleet.replicas, endless, strict=True):
                        status = await caller.interrupt(replica, run)
                        report.require(status == 202, f"the interrupt was answered {status}")
                    await load.finish(report)
                    found = await judge(report, load, url)
                    ended += Counter(completed=len(load.runs) - len(endless), interrupted=len(endless))
                statuses = Counter(run.status for run in found.runs.values())
                report.require(statuses == ended, f"runs ended as {statuses}, not {ended}")
    except CannotMount as why:
        report.skipped = str(why)
    return report


@contextlib.asynccontextmanager
async def _small_disk(lab: Lab, megabytes: int) -> AsyncIterator[SmallDisk]:
    """The server that may be broken has its data, its log and all else on a small disk for the time of the block."""
    disk = SmallDisk(lab.postgres.home, megabytes)
    await asyncio.to_thread(disk.mount)
    try:
        yield disk
    finally:
        await asyncio.to_thread(lab.postgres.stop, "immediate")
        await asyncio.to_thread(disk.unmount)


async def _fill_up(
    lab: Lab,
    report: Report,
    url: str,
    disk: SmallDisk,
    fleet: Fleet,
    caller: Caller,
    load: Load,
    seconds: float,
    *,
    deadly: bool,
) -> None:
    before = [len(_postponed(replica)) for replica in fleet.replicas]

    def appends_fail() -> bool:
        disk.fill()
        return all(len(_postponed(replica)) > was for replica, was in zip(fleet.replicas, before, strict=True))

    await eventually(appends_fail, "the disk is full for every replica")
    prompt = asyncio.create_task(caller.start_somewhere(fleet.replicas, "[[tokens=10 rate=20]]"))
    if deadly:
        await _let_it_die(url, disk)
        await all_say(fleet, 503)
    else:
        await all_say(fleet, 200)  # what is there can be read
        await _is_readable(report, fleet, caller)
    await asyncio.sleep(seconds)  # the length of the fault
    disk.free()
    freed = time.monotonic()
    if deadly:
        await asyncio.to_thread(lab.postgres.start)  # as an operator would
    report.times += 1
    await all_say(fleet, 200)
    await asyncio.gather(*(moves(reader, freed) for reader in load.readers))
    went_on(report, load.readers, freed)
    load.watch(await prompt, [fleet.replicas])


def _postponed(replica: Replica) -> list[str]:
    return [line for line in replica.logged("append_postponed") if "DiskFull" in line]


async def _let_it_die(url: str, disk: SmallDisk) -> None:
    """The server writes to its log until that needs space, crashes, cannot recover without space, and stays down."""

    async def dead() -> bool:
        disk.fill()
        try:
            connection = await asyncpg.connect(url)
        except (FileNotFoundError, ConnectionRefusedError):
            return True  # its socket is gone; while it still tries to recover, that says so
        except (OSError, asyncpg.PostgresError):
            return False
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            await connection.execute(MORE_THAN_A_SEGMENT)
        connection.terminate()
        return False

    await eventually(dead, "PostgreSQL has died of its full disk")


async def _is_readable(report: Report, fleet: Fleet, caller: Caller) -> None:
    for replica in fleet.replicas:
        status, answer = await caller.call("GET", replica, "/api/sessions")
        report.require(status == 200, f"the list of sessions is answered {status}: {answer}")
