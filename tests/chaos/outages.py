"""PostgreSQL goes away, in part or as a whole, and comes back (G8)."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import asyncpg

from tests.chaos.audit import ask
from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, all_say, begin, commit_delays, judge, moves, went_on
from tests.support.fleet import Replica, eventually
from tests.support.fleet_proxy import proxied
from tests.support.fleet_reader import Reader

KILL_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE $1
"""


async def postgres_restart(lab: Lab) -> Report:
    """An immediate restart, which is a crash, in the middle of runs."""
    report = Report("postgres-restart", "PostgreSQL stopped like in a crash and started again, mid-run")
    url = await lab.own_database()
    async with lab.fleet(2, database_url=url, lease_seconds=10.0) as (fleet, caller):
        load = await begin(lab, fleet, caller, lab.pick(4, 12 * lab.often(1, 5)))
        for _ in range(lab.often(1, 5)):
            await asyncio.to_thread(lab.postgres.stop, "immediate")
            await all_say(fleet, 503)
            restarted = time.monotonic()
            await asyncio.to_thread(lab.postgres.start)
            report.times += 1
            await all_say(fleet, 200)
            going = [reader for reader in load.readers if not reader.endings]
            await asyncio.gather(*(moves(reader, restarted) for reader in going))
            went_on(report, going, restarted)
        await load.finish(report)
        await judge(report, load, url)
    return report


async def terminate(lab: Lab) -> Report:
    """pg_terminate_backend on every connection, every second."""
    report = Report("terminate", "pg_terminate_backend on every connection, once a second")
    return await _terminate_each_second(lab, report, "webedt-%", lab.often(2, 20))


async def _terminate_each_second(lab: Lab, report: Report, victims: str, times: int) -> Report:
    async with lab.fleet(2, lease_seconds=10.0) as (fleet, caller):
        load = await begin(lab, fleet, caller, times + 1)
        for _ in range(times):
            await ask(lab.database_url, KILL_ALL, victims)
            killed = time.monotonic()
            report.times += 1
            pause = asyncio.create_task(asyncio.sleep(1))  # the rhythm of the fault
            run = await caller.start_somewhere(fleet.replicas, "[[tokens=10 rate=20]]")
            load.watch(run, [fleet.replicas])
            status, answer = await caller.call("GET", fleet[0], "/api/sessions")
            report.require(status in (200, 503), f"the list of sessions is answered {status}: {answer}")
            await pause
            went_on(report, load.readers, killed)
        await load.finish(report)
        await judge(report, load, lab.database_url)
    return report


async def refused(lab: Lab) -> Report:
    """Connections to PostgreSQL are reset and refused for a while; one provider talks as fast as it can."""
    seconds = lab.pick(2, 30)
    report = Report("refused", f"all database connections reset, new ones refused for {seconds} s")
    async with (
        proxied(lab.database_url) as one,
        proxied(lab.database_url) as two,
        lab.fleet(database_url=[one.url, two.url], lease_seconds=10.0) as (fleet, caller),
    ):
        for _ in range(lab.often(1, 2)):
            load = await begin(lab, fleet, caller, lab.pick(4, 15))
            await asyncio.gather(one.refuse(), two.refuse())
            began = time.monotonic()
            await all_say(fleet, 503)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))  # the length of the fault
            await asyncio.gather(one.accept(), two.accept())
            accepted = time.monotonic()
            report.times += 1
            await all_say(fleet, 200)
            await asyncio.gather(*(moves(reader, accepted) for reader in load.readers))
            went_on(report, load.readers, accepted)
            await load.finish(report)
            await judge(report, load, lab.database_url)
    return report


async def lost_appends(lab: Lab) -> Report:
    """The connection of the event writer breaks after an append was carried out and before that is known."""
    report = Report("lost-appends", "answer to an append lost, the events being stored")
    runs, rate = lab.pick((4, 50), (20, 50))
    async with (
        proxied(lab.database_url) as proxy,
        lab.fleet(database_url=[proxy.url, lab.database_url], lease_seconds=10.0) as (fleet, caller),
    ):
        load = Load(caller)
        times = lab.often(10, 200)
        for _ in range(runs):
            await load.run(fleet[0], rate * max(2, times // 8), rate, [[fleet[0]], [fleet[1]]])
        while report.times < times and not all(reader.endings for reader in load.readers):
            proxy.lose_answer("writer", b"text_delta")
            await eventually(lambda: proxy.lost or all(reader.endings for reader in load.readers), "an append is sent")
            lost = time.monotonic()
            report.times += proxy.lost
            going = [reader for reader in load.readers if not reader.endings]
            await asyncio.gather(*(moves(reader, lost) for reader in going))
            went_on(report, going, lost)
        await load.finish(report)
        await judge(report, load, lab.database_url)
        recognised = len(fleet[0].logged("append_recognised"))
        report.notes.append(f"{recognised} resent entries were recognised as stored")
        report.require(recognised >= report.times // 2, f"only {recognised} entries were recognised")
    return report


async def read_only(lab: Lab) -> Report:
    """The server refuses to write, as a standby does in a fail-over."""
    seconds = lab.pick(1, 3)
    report = Report("read-only", f"PostgreSQL refuses to write for {seconds} s, as in a fail-over")
    url = await lab.own_database()
    async with lab.fleet(2, database_url=url, lease_seconds=10.0) as (fleet, caller):
        times = lab.often(1, 5)
        load = await begin(lab, fleet, caller, 2 + (seconds + 1) * times)
        for _ in range(times):
            await _set_read_only(url, "on")
            await asyncio.sleep(seconds)  # the length of the fault
            await _set_read_only(url, "off")
            healed = time.monotonic()
            report.times += 1
            await asyncio.gather(*(moves(reader, healed) for reader in load.readers))
            went_on(report, load.readers, healed)
        await load.finish(report)
        await judge(report, load, url)
    return report


async def crowded(lab: Lab) -> Report:
    """Somebody else takes every connection that the server has, just after ours were cut."""
    seconds = lab.pick(2, 10)
    report = Report("crowded", f"all connections cut, their places taken by others for {seconds} s")
    url = await lab.own_database()
    async with lab.fleet(2, database_url=url, lease_seconds=10.0) as (fleet, caller):
        times = lab.often(1, 5)
        load = await begin(lab, fleet, caller, 2 + (seconds + 1) * times)
        for _ in range(times):
            others: list[asyncpg.Connection] = []
            await _fill(url, others)
            began = time.monotonic()
            while time.monotonic() < began + seconds:  # the length of the fault
                await others[0].fetch(KILL_ALL, "webedt-%")
                await _fill(url, others)
            for other in others:
                other.terminate()
            healed = time.monotonic()
            report.times += 1
            await all_say(fleet, 200)
            await asyncio.gather(*(moves(reader, healed) for reader in load.readers))
            went_on(report, load.readers, healed)
            report.notes = [f"{len(others)} places taken"]
        await load.finish(report)
        await judge(report, load, url)
    return report


async def _fill(url: str, others: list[asyncpg.Connection]) -> None:
    """Connect until the server refuses."""
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            others.append(await asyncpg.connect(url))


async def _set_read_only(url: str, value: str) -> None:
    admin = f"{url}{'&' if '?' in url else '?'}options=-c%20default_transaction_read_only%3Doff"
    await ask(admin, f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await ask(admin, "SELECT pg_reload_conf()")


async def listener(lab: Lab) -> Report:
    """Notifications to one replica are swallowed; then its listening connection is cut again and again."""
    report = Report("listener", "notifications to one replica swallowed, then its LISTEN connection cut")
    runs, rate = lab.pick((4, 25), (20, 20))
    async with (
        proxied(lab.database_url) as proxy,
        lab.fleet(database_url=[lab.database_url, proxy.url], lease_seconds=10.0) as (fleet, caller),
    ):
        load = Load(caller)
        times = lab.often(1, 5)
        for _ in range(runs):
            await load.run(fleet[0], int(rate * 5 * times), rate, [[fleet[1]]])
        for _ in range(times):
            await _more(load.readers, rate)
            proxy.blackhole("listener", "notifier")
            await _more(load.readers, 2 * rate)
            proxy.heal()
            proxy.cut("listener")
            await _more(load.readers, rate // 2)
            report.times += 1
        await load.finish(report)
        await judge(report, load, lab.database_url)
        await _judge_delays(report, load, lab.database_url, fleet[1])
    return report


async def _more(readers: Sequence[Reader], events: int) -> None:
    await asyncio.gather(*(reader.has_seen(reader.last_id + events) for reader in readers))


async def _judge_delays(report: Report, load: Load, database_url: str, replica: Replica) -> None:
    delays = await commit_delays(database_url, load.readers)
    report.recoveries += [max(of_reader[3:]) for of_reader in delays]
    worst = max(report.recoveries)
    report.require(worst <= 2.0 + 8.0, f"an event came {worst:.1f} s late")
    report.notes.append("time: the latest event of each reader")
    report.require(not replica.logged("task_crashed"), "a task crashed")
