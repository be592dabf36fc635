"""What is known of the server's health, and how soon."""

import asyncio
import time

import pytest

from tests.database.running import Wire, administrator, running_database, terminate_backends
from tests.support.waiting import eventually
from webedt.config import Settings
from webedt.database.embedded import EmbeddedPostgres
from webedt.database.interface import DatabaseState
from webedt.database.migrations import migrate
from webedt.database.postgres import PostgresDatabase
from webedt.domain.errors import Unavailable
from webedt.telemetry.metrics import Metrics

NOBODY_LISTENS = "postgresql://postgres@127.0.0.1:1/nothing"


async def test_before_anything_is_known_it_is_starting(database_url: str) -> None:
    database = PostgresDatabase(Settings(database_url=database_url), Metrics("test"))
    assert database.state == DatabaseState(healthy=False, latency_ms=None, reason="starting")
    with pytest.raises(Unavailable):
        await database.fetch("SELECT 1")


async def test_a_server_that_is_not_there_keeps_nobody_from_starting() -> None:
    async with running_database(NOBODY_LISTENS, wait=False) as database:
        await eventually(lambda: database.state.reason == "database", "the server is missed", seconds=5)
        assert not database.state.healthy
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")


async def test_a_schema_that_is_not_current_is_waited_for(empty_database_url: str) -> None:
    async with running_database(empty_database_url, wait=False) as database:
        await eventually(lambda: database.state.reason == "migrations", "the schema is missed", seconds=5)
        assert database.state.healthy
        await migrate(empty_database_url)
        async with asyncio.timeout(5):
            await database.wait_until_ready()
        assert database.state.reason is None


async def test_when_all_is_well_it_says_how_fast_the_server_answers(database_url: str) -> None:
    async with running_database(database_url) as database:
        healthy, latency_ms, reason = await eventually(
            lambda: database.state if database.state.healthy else None, "the state is known"
        )
        assert (healthy, reason) == (True, None)
        assert latency_ms is not None
        assert 0 < latency_ms < 1000
        assert 'webedt_db_healthy{container="test"} 1.0' in database._metrics.render(openmetrics=False).decode()


async def test_a_busy_pool_is_not_a_dead_database(database_url: str) -> None:
    async with running_database(database_url, db_pool_max=2) as database:
        async with database.acquire(), database.acquire():
            checked = await next_check(database)
        assert checked.reason is None


async def next_check(database: PostgresDatabase) -> DatabaseState:
    before = database.state
    return await eventually(lambda: database.state if database.state is not before else None, "another check")


async def test_a_silent_server_is_noticed_within_ten_seconds(database_url: str) -> None:
    async with Wire(database_url).laid() as wire, running_database(wire.url) as database:
        wire.silence()
        started = time.monotonic()
        await eventually(lambda: database.state.reason == "database", "the silence is noticed", seconds=10)
        assert time.monotonic() - started < 10
        assert not database.state.healthy
        wire.heal()
        async with asyncio.timeout(10):
            await database.wait_until_ready()
        assert (await database.fetchrow("SELECT 1"))[0] == 1


async def test_a_server_silent_from_the_start_is_noticed_too(database_url: str) -> None:
    async with Wire(database_url).laid() as wire:
        wire.silence()
        async with running_database(wire.url, wait=False, db_connect_timeout_seconds=1) as database:
            await eventually(lambda: database.state.reason == "database", "the silence is noticed", seconds=10)
            wire.heal()
            async with asyncio.timeout(10):
                await database.wait_until_ready()


async def test_a_stopped_server_is_noticed_within_five_seconds_and_found_again(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    await migrate(url)
    async with running_database(url) as database:
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.02)") for _ in range(10)))
        await asyncio.to_thread(own_postgres.stop)
        started = time.monotonic()
        await eventually(lambda: database.state.reason == "database", "the stop is noticed", seconds=5)
        assert time.monotonic() - started < 5
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")
        await asyncio.to_thread(own_postgres.start)
        async with asyncio.timeout(10):
            await database.wait_until_ready()
        rows = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(20)))
        assert len(rows) == 20


async def test_the_monitor_is_found_again_when_its_connection_is_ended(database_url: str) -> None:
    async with running_database(database_url) as database, administrator(database_url) as admin:
        assert await terminate_backends(admin, "monitor") == 1

        async def back() -> bool:
            name = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"
            return bool(await admin.fetchval(name, "webedt-monitor"))

        await eventually(back, "the monitor is back", seconds=5)
        async with asyncio.timeout(5):
            await database.wait_until_ready()
