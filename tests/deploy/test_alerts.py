"""A real Prometheus scrapes three real replicas, which are broken for real: the alerts fire, and stop."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from tests.deploy.dashboard import Query, panels
from tests.deploy.prometheus import Prometheus, program, scraping
from tests.support.fleet import Caller, Fleet, Replica, Run, eventually, start_fleet
from tests.support.fleet_proxy import proxied
from tests.support.fleet_reader import Reader
from tests.support.load import meanwhile

ENDLESS = "[[tokens=100000 rate=20 size=4 seed=5]]"
SCRAPE_SECONDS = 0.5
MINUTES_A_SECOND = 2
POOL_MAX = 4
MAX_STREAMS = 4
LEASE_SECONDS = 3.0
SLOW_SECONDS = 0.35
"""Each way: an answer of the database then takes longer than the rules allow, and less than a heartbeat may."""


async def test_a_healthy_fleet_is_quiet_and_each_break_is_told(database_url: str, tmp_path: Path) -> None:
    program("prometheus")
    async with (
        proxied(database_url) as proxy,
        start_fleet(
            proxy.url, 3, lease_seconds=LEASE_SECONDS, DB_POOL_MAX=f"{POOL_MAX}", MAX_STREAMS_PER_USER=f"{MAX_STREAMS}"
        ) as fleet,
        scraping(
            fleet.replicas, tmp_path / "prometheus", scrape_seconds=SCRAPE_SECONDS, speed=MINUTES_A_SECOND * 60
        ) as prometheus,
        fleet.caller() as caller,
    ):
        first, _, third = fleet.replicas
        async with under_load(caller, fleet) as runs:
            await every_query_of_the_dashboard_has_an_answer(prometheus)
            await prometheus.quiet()

            third.kill()  # it drives one of the runs
            async with crowded(caller, first, runs[0]):
                async with locked(database_url, caller, first):
                    await prometheus.fires("WebEDTPoolExhausted")
                await prometheus.fires("WebEDTReplicaDown", "WebEDTRunsTakenOver")
                proxy.delay_seconds = SLOW_SECONDS
                await prometheus.fires("WebEDTStreamsRefused", "WebEDTCommitsSlow", "WebEDTDeliveryLag")
            proxy.delay_seconds = 0.0
            third.start()

        await proxy.refuse()
        async with meanwhile(asking(caller, first)):
            await prometheus.fires(
                "WebEDTDatabaseUnhealthy",
                "WebEDTNoReplicaReady",
                "WebEDTReplicaNotReady",
                "WebEDTNoLeader",
                "WebEDTServerErrors",
            )
        await proxy.accept()
        await fleet.all_ready()
        # What it says of the last quarter of an hour it goes on saying.
        await prometheus.quiet(but={"WebEDTRunsTakenOver"})

        prometheus.discover([])
        await prometheus.fires("WebEDTNoReplicaReady")
        assert await prometheus.query('up{job="webedt"}') == []


async def every_query_of_the_dashboard_has_an_answer(prometheus: Prometheus) -> None:
    async def unanswered(query: Query) -> bool:
        series = await prometheus.query(query.filled("4s"))
        return not any(math.isfinite(float(one["value"][1])) for one in series)

    missing = [query for panel in panels() for query in panel.queries]
    assert len(missing) > 40

    async def none() -> bool:
        missing[:] = [query for query in missing if await unanswered(query)]
        return not missing

    try:
        await eventually(none, "")
    except AssertionError:
        raise AssertionError(f"no answer to {[query.expression for query in missing]}") from None
    [series] = await prometheus.query('webedt_uptime_seconds{job="webedt", container="r1"}')
    assert series["metric"].keys() == {"__name__", "job", "instance", "container"}


async def asking(caller: Caller, replica: Replica) -> None:
    """Somebody who keeps asking for a list, whatever the answer is."""
    while True:
        await caller.call("GET", replica, "/api/sessions")
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def under_load(caller: Caller, fleet: Fleet) -> AsyncIterator[list[Run]]:
    """A run on each replica, read by somebody there and by somebody on the next one; and somebody who asks."""
    runs = [await caller.start(replica, ENDLESS) for replica in fleet.replicas]
    around = [*fleet.replicas[1:], fleet.replicas[0]]
    readers = [
        Reader(caller.http, run.session_id, [replica.url])
        for run, *places in zip(runs, fleet.replicas, around, strict=True)
        for replica in places
    ]
    async with meanwhile(asking(caller, fleet[1]), *(reader.follow() for reader in readers)):
        yield runs


@contextlib.asynccontextmanager
async def crowded(caller: Caller, replica: Replica, run: Run) -> AsyncIterator[None]:
    """More streams than one user may have, asked for again and again."""

    async def insist() -> None:
        while True:
            async with caller.http.get(f"{replica.url}/api/resume/{run.session_id}") as answer:
                if answer.status == 200:
                    await asyncio.Event().wait()
            await asyncio.sleep(0.2)

    async with meanwhile(*(insist() for _ in range(2 * MAX_STREAMS))):
        yield


@contextlib.asynccontextmanager
async def locked(database_url: str, caller: Caller, replica: Replica) -> AsyncIterator[None]:
    """More requests than the pool has connections, and each waits for a lock that somebody holds."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE chat_sessions IN ACCESS EXCLUSIVE MODE")
            async with meanwhile(*(asking(caller, replica) for _ in range(3 * POOL_MAX))):
                yield
    finally:
        await connection.close()
