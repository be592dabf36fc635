"""The pool: its numbers, its statistics, and what it survives."""

import asyncio
import socket
from typing import Any

import asyncpg
import pytest

from tests.database.running import Wire, administrator, running_database, terminate_backends
from tests.support.pooling import pooling
from tests.support.waiting import eventually
from webedt.config import Settings
from webedt.database.faults import is_connection_lost
from webedt.database.interface import PoolStats
from webedt.database.postgres import PostgresDatabase
from webedt.domain.errors import Unavailable


async def hold(database: PostgresDatabase, until: asyncio.Event, held: asyncio.Semaphore) -> None:
    async with database.acquire():
        held.release()
        await until.wait()


def test_its_numbers_are_those_of_the_architecture() -> None:
    settings = Settings()
    assert settings.db_pool_max == 20
    assert settings.db_pool_min == 2
    assert settings.db_pool_idle_seconds == 30
    assert settings.db_connect_timeout_seconds == 5
    assert settings.db_statement_timeout_seconds == 30


async def test_it_opens_as_many_as_it_must_and_no_more_than_it_may(database_url: str) -> None:
    async with running_database(database_url) as database:
        assert database.stats == PoolStats(total=2, idle=2, in_use=0, waiting=0, max=20)
        rows = await asyncio.gather(*(database.fetch("SELECT pg_backend_pid(), pg_sleep(0.05)") for _ in range(50)))
        backends = len({row[0][0] for row in rows})
        assert backends == 20 or (pooling() and 0 < backends < 20)  # a pooler needs fewer for the same
        assert database.stats == PoolStats(total=20, idle=20, in_use=0, waiting=0, max=20)


async def test_whoever_waits_for_a_connection_is_counted(database_url: str) -> None:
    async with running_database(database_url, db_pool_max=2) as database:
        done, held = asyncio.Event(), asyncio.Semaphore(0)
        holders = [asyncio.create_task(hold(database, done, held)) for _ in range(5)]
        await held.acquire()
        await held.acquire()
        await eventually(lambda: database.stats.waiting == 3, "three wait")
        assert database.stats == PoolStats(total=2, idle=0, in_use=2, waiting=3, max=2)
        samples = database._metrics.render(openmetrics=False).decode().splitlines()
        assert 'webedt_db_pool_waiting{container="test"} 3.0' in samples
        assert 'webedt_db_pool_connections{container="test",state="in_use"} 2.0' in samples
        assert 'webedt_db_pool_max{container="test"} 2.0' in samples
        done.set()
        await asyncio.gather(*holders)
        assert database.stats == PoolStats(total=2, idle=2, in_use=0, waiting=0, max=2)


async def test_nobody_waits_longer_than_the_connect_timeout(database_url: str) -> None:
    async with running_database(database_url, db_pool_max=2, db_connect_timeout_seconds=0.3) as database:
        async with database.acquire(), database.acquire():
            with pytest.raises(Unavailable):
                await database.fetch("SELECT 1")
        assert database.stats.waiting == 0
        assert (await database.fetchrow("SELECT 1 AS one"))["one"] == 1


async def test_a_connection_unused_for_long_is_closed(database_url: str) -> None:
    async with running_database(database_url, db_pool_idle_seconds=0.2) as database:
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(8)))
        assert database.stats.total == 8
        await eventually(lambda: database.stats.total == 2, "all but the fewest are closed", seconds=5)
        assert (await database.fetchrow("SELECT 1 AS one"))["one"] == 1


async def test_every_connection_has_its_limits(database_url: str) -> None:
    shown = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    async with running_database(database_url) as database:
        assert tuple(await database.fetchrow(shown)) == ("30s", "5s")
        connection = await database.connect("test", command_timeout_seconds=5)
        assert tuple(await connection.fetchrow(shown)) == ("30s", "5s")
        await connection.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
async def test_the_kernel_watches_the_server_of_every_connection(database_url: str) -> None:
    async with Wire(database_url).laid() as wire, running_database(wire.url) as database:
        connection = await database.connect("test", command_timeout_seconds=5)
        async with database.acquire() as pooled:
            for one in (connection, pooled):
                link = one._transport.get_extra_info("socket")
                assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        await connection.close()


@pytest.mark.parametrize("lease_seconds", [1, 3, 10, 60])
async def test_a_transaction_may_idle_for_less_than_the_lease(database_url: str, lease_seconds: float) -> None:
    milliseconds = "SELECT setting::integer FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"

    async def shown(connection: Any) -> int:
        return int(await connection.fetchval(milliseconds))

    async with running_database(database_url, lease_seconds=lease_seconds) as database:
        assert 0 < await database.with_transaction(shown) < lease_seconds * 1000


async def test_behind_a_pooler_a_transaction_sets_its_own_limits(database_url: str) -> None:
    async def shown(connection: Any) -> tuple[str, str, str]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return tuple([await connection.fetchval("SELECT current_setting($1)", name) for name in names])  # type: ignore[return-value]

    ways = {"database_url": database_url, "database_direct_url": database_url}
    async with running_database(database_url, **ways, lease_seconds=4) as database:
        assert await database.with_transaction(shown) == ("30s", "3s", "2s")
        # Nothing was sent at the start, which a pooler would refuse, and nothing stays for whoever comes next.
        assert (await database.fetchrow("SHOW statement_timeout"))[0] == "0"
        assert (await database.fetchrow("SHOW application_name"))[0] == ""


async def test_a_statement_that_takes_too_long_is_ended(database_url: str) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    async with (
        running_database(database_url, db_statement_timeout_seconds=0.2) as database,
        administrator(database_url) as admin,
    ):
        with pytest.raises(Unavailable) as refused:
            await database.fetch("SELECT pg_sleep(20)")
        # A pooler's connections have limits of their own; ours is that of the client, which cancels what it gives up.
        expected = TimeoutError if pooling() else asyncpg.QueryCanceledError
        assert isinstance(refused.value.__cause__, expected)

        async def ended() -> bool:
            return bool(await admin.fetchval(sleeping) == 0)

        await eventually(ended, "the server gives it up, too", seconds=5)


async def test_a_mistake_in_a_statement_is_told_as_it_is(database_url: str) -> None:
    async with running_database(database_url) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.fetch("SELECT 1 / 0")


async def test_reads_survive_the_end_of_every_connection(database_url: str) -> None:
    async with running_database(database_url) as database, administrator(database_url) as admin:
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(10)))
        ended = await terminate_backends(admin, "pool")
        assert 0 < ended <= 10 if pooling() else ended == 10  # a pooler needs fewer for the same
        rows = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(40)))
        assert [row[0][0] for row in rows] == [1] * 40


async def test_reads_survive_it_at_whatever_moment_they_begin(database_url: str) -> None:
    """Not waiting for the end: some find the server's goodbye read but the socket still open."""
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'webedt-pool'"
    ending += " AND datname = current_database()"
    async with running_database(database_url) as database, administrator(database_url) as admin:
        for _ in range(15):
            await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(10)))
            assert await admin.fetch(ending)
            rows = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(20)))
            assert len(rows) == 20


async def test_reads_that_are_under_way_survive_it_too(database_url: str) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    async with running_database(database_url) as database, administrator(database_url) as admin:
        await admin.execute("CREATE TABLE pause AS SELECT 60 AS seconds")
        reads = [asyncio.create_task(database.fetchrow("SELECT 7, pg_sleep(seconds) FROM pause")) for _ in range(10)]

        async def all_sleep() -> bool:
            return bool(await admin.fetchval(sleeping) == 10)

        await eventually(all_sleep, "the server works on all")
        await admin.execute("UPDATE pause SET seconds = 0")
        assert await terminate_backends(admin, "pool") == 10
        assert [row[0] for row in await asyncio.gather(*reads)] == [7] * 10


async def test_a_connection_that_cannot_be_given_back_does_not_undo_what_was_done(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def insert(connection: Any) -> str:
        await connection.execute("INSERT INTO done DEFAULT VALUES")
        return "stored"

    async def broken_release(_pool: Any, connection: Any, **_options: Any) -> None:
        connection.terminate()
        raise TimeoutError

    async with running_database(database_url) as database, administrator(database_url) as admin:
        await admin.execute("CREATE TABLE done (at timestamptz DEFAULT now())")
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Pool, "release", broken_release)
            assert await database.with_transaction(insert) == "stored"
        assert await admin.fetchval("SELECT count(*) FROM done") == 1


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot call Connection.fetch(): connection has been released back to the pool"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"),
        ConnectionResetError(),
    ],
)
def test_a_lost_connection_is_known_in_every_guise(error: Exception) -> None:
    assert is_connection_lost(error)


def test_a_wrong_argument_is_no_lost_connection() -> None:
    assert not is_connection_lost(asyncpg.DataError("invalid input for query argument $1"))
    assert not is_connection_lost(asyncpg.UniqueViolationError("closed"))
