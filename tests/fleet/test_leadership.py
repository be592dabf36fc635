"""One replica leads; another one follows when it is gone; the work of one that was paused meanwhile is refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.database.running import Wire, administrator
from tests.support.pooling import settings_to
from tests.support.waiting import eventually
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.database.sql import load_queries
from webedt.fleet.identity import Identity
from webedt.fleet.leadership import ALeadership, Leadership, LeaderTask
from webedt.kernel import ServiceProvider
from webedt.telemetry.metrics import Metrics

SQL = load_queries("instances")
LEASE_SECONDS = 0.6
TASK = "sweep"


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webedt.fleet.leadership.MIN_LEASE_SECONDS", 0.1)


class Candidate:
    """A replica that competes for `TASK`, and the fencing numbers that it worked under."""

    def __init__(self, provider: ServiceProvider, leadership: Leadership, identity: Identity, metrics: Metrics) -> None:
        self.provider = provider
        self.leadership = leadership
        self.identity = identity
        self.worked: list[int] = []
        self.fails = False
        self._metrics = metrics

    async def work(self, fencing: int) -> int:
        self.worked.append(fencing)
        if self.fails:
            raise RuntimeError("as the test asked")
        return len(self.worked)

    @property
    def shown_as_leader(self) -> bool:
        sample = f'webedt_leader{{container="{self.identity.container_id}",task="{TASK}"}} 1.0'
        return sample in self._metrics.render(openmetrics=False).decode()


@contextlib.asynccontextmanager
async def candidate(url: str, name: str = "c", *, lease_seconds: float = LEASE_SECONDS) -> AsyncIterator[Candidate]:
    identity, metrics = Identity(uuid4(), name), Metrics(name)
    provider = ServiceProvider()
    provider.register(ADatabase, PostgresDatabase(Settings(**settings_to(url), environment="test"), metrics))
    leadership = Leadership(identity, metrics, lease_seconds)
    provider.register(ALeadership, leadership)
    await provider.initialize()
    await provider.get(ADatabase).wait_until_ready()
    one = Candidate(provider, leadership, identity, metrics)
    leadership.add(LeaderTask(TASK, 0.05, one.work))
    try:
        yield one
    finally:
        await provider.reset()


async def test_of_three_one_leads(database_url: str) -> None:
    async with candidate(database_url) as a, candidate(database_url) as b, candidate(database_url) as c:
        await eventually(lambda: len(a.worked + b.worked + c.worked) >= 30, "the work is done many times")
        assert [bool(one.worked) for one in (a, b, c)].count(True) == 1
        assert [one.shown_as_leader for one in (a, b, c)].count(True) == 1
        assert set(a.worked + b.worked + c.worked) == {1}, "renewing is no change"


async def test_a_leader_that_says_goodbye_is_followed_long_before_its_lease_is_over(database_url: str) -> None:
    async with candidate(database_url, lease_seconds=300) as leader:
        await eventually(lambda: leader.worked, "it leads")
        async with candidate(database_url, lease_seconds=300) as successor:
            await leader.provider.reset()
            await eventually(lambda: successor.worked, "the other one leads")
            assert min(successor.worked) > max(leader.worked)


async def test_a_leader_that_falls_silent_is_followed_when_its_lease_is_over(database_url: str) -> None:
    async with Wire(database_url).laid() as wire, candidate(wire.url, "paused") as paused:
        await eventually(lambda: paused.worked, "it leads")
        async with candidate(database_url, "other") as other:
            wire.silence()
            await eventually(lambda: other.worked, "the other one leads", seconds=10)
            done = len(paused.worked)
            assert min(other.worked) > max(paused.worked)
            assert not paused.shown_as_leader, "its own clock says that the lease is over"
            assert other.shown_as_leader
            wire.heal()
            await eventually(lambda: len(other.worked) > 10, "it goes on")
            assert len(paused.worked) == done, "whoever comes back leads no more"


async def test_work_that_fails_is_done_again(database_url: str) -> None:
    async with candidate(database_url) as one:
        one.fails = True
        await eventually(lambda: len(one.worked) >= 3, "it is tried again")
        one.fails = False
        await eventually(lambda: one.shown_as_leader, "it still leads")
        assert set(one.worked) == {1}


async def test_the_last_run_is_told_by_every_replica(database_url: str) -> None:
    async with candidate(database_url, "first", lease_seconds=300) as first, administrator(database_url) as admin:
        await admin.execute(SQL["beat"], first.identity.instance_id, "first", False)
        await eventually(lambda: first.worked, "it leads")
        async with candidate(database_url, "second", lease_seconds=300) as second:

            async def recorded() -> bool:
                return (await second.leadership.last_run(TASK)).count >= 3

            await eventually(recorded, "it is recorded")
            last = await second.leadership.last_run(TASK)
            assert last.leader == "first"
            assert last.at is not None
        unknown = await first.leadership.last_run("nothing")
        assert (unknown.at, unknown.count, unknown.leader) == (None, 0, None)


# The statements alone: what a leader may rely on ----------------------------------------------------------------------


async def acquire(connection: Any, holder: UUID, seconds: float) -> int | None:
    fencing: int | None = await connection.fetchval(SQL["acquire_lease"], TASK, holder, seconds)
    return fencing


async def confirm(connection: Any, holder: UUID, fencing: int) -> bool:
    return await connection.fetchval(SQL["confirm_lease"], TASK, holder, fencing) is not None


async def test_fencing_rises_with_every_change_and_never_otherwise(database_url: str) -> None:
    a, b = uuid4(), uuid4()
    async with administrator(database_url) as connection:
        assert await acquire(connection, a, 60) == 1
        assert await acquire(connection, a, 60) == 1
        assert await acquire(connection, b, 60) is None
        await connection.execute(SQL["release_lease"], TASK, b)
        assert await acquire(connection, b, 60) is None, "only the holder may let go"
        await connection.execute(SQL["release_lease"], TASK, a)
        assert await acquire(connection, b, 0) == 2
        assert await acquire(connection, b, 0) == 3, "it had expired: somebody may have led in between"
        assert await acquire(connection, a, 60) == 4


async def test_the_work_of_a_paused_leader_is_refused(database_url: str) -> None:
    paused, successor = uuid4(), uuid4()
    async with administrator(database_url) as connection:
        fencing = await acquire(connection, paused, 60)
        assert fencing == 1
        assert await confirm(connection, paused, fencing)
        await connection.execute("UPDATE leases SET expires_at = clock_timestamp()")
        assert not await confirm(connection, paused, fencing), "expired, though nobody has followed yet"
        assert await acquire(connection, successor, 60) == 2
        assert not await confirm(connection, paused, fencing)
        assert not await confirm(connection, paused, 2), "another's number"
        assert await confirm(connection, successor, 2)


async def test_a_successor_waits_for_the_commit_of_work_that_was_confirmed(database_url: str) -> None:
    leader, successor = uuid4(), uuid4()
    async with administrator(database_url) as working, administrator(database_url) as waiting:
        fencing = await acquire(working, leader, 0.2)
        assert fencing is not None
        async with working.transaction():
            assert await confirm(working, leader, fencing)
            following = asyncio.create_task(acquire_when_free(waiting, successor))
            await working.execute("SELECT pg_sleep(0.4)")
            assert not following.done()
        assert await following == 2


async def acquire_when_free(connection: Any, holder: UUID) -> int:
    fencing = None
    while fencing is None:
        fencing = await acquire(connection, holder, 60)
    return fencing
