"""`with_transaction` tries again what may be tried again, `commit_once` looks first, and nothing is done twice."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.database.running import Wire, administrator, running_database, terminate_backends
from tests.support.waiting import eventually
from webedt.database.faults import OutcomeUnknown
from webedt.database.postgres import PostgresDatabase
from webedt.domain.errors import Unavailable

TABLE = "CREATE TABLE things (id integer PRIMARY KEY, value integer NOT NULL DEFAULT 0)"


@pytest.fixture
async def things_url(database_url: str) -> str:
    """A database with a table of two rows for the tests to fight over."""
    async with administrator(database_url) as admin:
        await admin.execute(TABLE)
        await admin.execute("INSERT INTO things VALUES (1), (2)")
    return database_url


async def values(url: str) -> dict[int, int]:
    async with administrator(url) as admin:
        return {row["id"]: row["value"] for row in await admin.fetch("SELECT * FROM things")}


class Work:
    """Inserts the row `id` once a try; `before_commit` is awaited after that."""

    def __init__(self, before_commit: Any = None) -> None:
        self.tries = 0
        self._before_commit = before_commit

    async def __call__(self, connection: Any) -> str:
        self.tries += 1
        await connection.execute("INSERT INTO things (id) VALUES (10)")
        if self._before_commit is not None:
            await self._before_commit(connection, self.tries)
        return "done"


async def look(connection: Any) -> str | None:
    found: int | None = await connection.fetchval("SELECT id FROM things WHERE id = 10")
    return None if found is None else "found"


def is_lost(connection: Any) -> bool:
    """Whether the driver has noticed; a pool takes a lost connection back, which then answers nothing any more."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def race(database: PostgresDatabase, first: Any, second: Any) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(database.with_transaction(first), database.with_transaction(second))


async def test_a_serialization_failure_is_tried_again(things_url: str) -> None:
    both_have_read = asyncio.Barrier(2)
    tries: list[int] = []

    def take_the_sum_into(target: int) -> Any:
        async def work(connection: Any) -> None:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            total = await connection.fetchval("SELECT sum(value) FROM things")
            tries.append(target)
            if tries.count(target) == 1:
                await both_have_read.wait()
            await connection.execute("UPDATE things SET value = $2 WHERE id = $1", target, total + 1)

        return work

    async with running_database(things_url) as database:
        await race(database, take_the_sum_into(1), take_the_sum_into(2))
    assert len(tries) == 3
    assert sorted((await values(things_url)).values()) == [1, 2], "as if one had come after the other"


async def test_a_deadlock_is_tried_again(things_url: str) -> None:
    both_hold_one = asyncio.Barrier(2)
    tries: list[int] = []

    def add_to(first: int, second: int) -> Any:
        async def work(connection: Any) -> None:
            tries.append(first)
            await connection.execute("UPDATE things SET value = value + 1 WHERE id = $1", first)
            if tries.count(first) == 1:
                await both_hold_one.wait()
            await connection.execute("UPDATE things SET value = value + 1 WHERE id = $1", second)

        return work

    async with running_database(things_url) as database:
        await race(database, add_to(1, 2), add_to(2, 1))
    assert len(tries) == 3
    assert await values(things_url) == {1: 2, 2: 2}


async def test_what_fails_for_good_is_rolled_back_and_not_tried_again(things_url: str) -> None:
    async def fail(connection: Any, _tries: int) -> None:
        await connection.execute("SELECT 1 / 0")

    work = Work(fail)
    async with running_database(things_url) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.with_transaction(work)
        assert database.stats.in_use == 0
    assert work.tries == 1
    assert 10 not in await values(things_url)


async def test_a_failure_that_the_work_hid_is_not_taken_for_a_commit(things_url: str) -> None:
    async def hide(connection: Any, _tries: int) -> None:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.execute("SELECT 1 / 0")

    async with running_database(things_url) as database:
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await database.with_transaction(Work(hide))
    assert 10 not in await values(things_url)


async def test_a_wait_for_a_lock_ends_and_is_told_as_unavailable(things_url: str) -> None:
    async def wait(connection: Any) -> None:
        await connection.execute("SET LOCAL lock_timeout = 50")
        await connection.execute("UPDATE things SET value = 5 WHERE id = 1")

    async with running_database(things_url) as database, administrator(things_url) as admin, admin.transaction():
        await admin.execute("UPDATE things SET value = 1 WHERE id = 1")
        with pytest.raises(Unavailable):
            await database.with_transaction(wait)


async def test_a_connection_lost_in_the_middle_is_tried_again(things_url: str) -> None:
    async with running_database(things_url) as database, administrator(things_url) as admin:

        async def lose_it_once(connection: Any, tries: int) -> None:
            if tries == 1:
                assert await terminate_backends(admin, "pool")
                await connection.execute("SELECT 1")

        work = Work(lose_it_once)
        assert await database.with_transaction(work) == "done"
    assert work.tries == 2
    assert 10 in await values(things_url)


async def test_a_connection_lost_just_before_commit_is_tried_again(things_url: str) -> None:
    async with running_database(things_url) as database, administrator(things_url) as admin:

        async def lose_it_once(connection: Any, tries: int) -> None:
            if tries == 1:
                assert await terminate_backends(admin, "pool")
                await eventually(lambda: is_lost(connection), "the driver has noticed")

        work = Work(lose_it_once)
        assert await database.with_transaction(work) == "done"
    assert work.tries == 2
    assert 10 in await values(things_url)


async def test_a_transaction_that_idles_too_long_loses_its_locks_and_is_tried_again(things_url: str) -> None:
    async def idle_once(connection: Any, tries: int) -> None:
        if tries == 1:
            await eventually(lambda: is_lost(connection), "the server ends the connection", seconds=5)

    work = Work(idle_once)
    async with running_database(things_url, lease_seconds=1) as database:
        assert await database.with_transaction(work) == "done"
    assert work.tries == 2


async def test_a_frozen_peer_holds_a_lock_for_less_than_its_lease(things_url: str) -> None:
    async with running_database(things_url, lease_seconds=2) as database, administrator(things_url) as admin:
        frozen = await database.connect("frozen", command_timeout_seconds=5)
        await frozen.execute("BEGIN")
        await frozen.execute("SELECT * FROM things WHERE id = 1 FOR UPDATE")
        async with asyncio.timeout(2):
            await admin.execute("UPDATE things SET value = 9 WHERE id = 1")
        frozen.terminate()


async def test_without_a_server_it_gives_up_in_the_end(things_url: str) -> None:
    async with running_database(things_url) as database, administrator(things_url) as admin:

        async def lose_it(connection: Any, _tries: int) -> None:
            assert await terminate_backends(admin, "pool")
            await connection.execute("SELECT 1")

        work = Work(lose_it)
        with pytest.raises(Unavailable):
            await database.with_transaction(work, attempts=3)
    assert work.tries == 3


@pytest.mark.parametrize(("lost", "stored"), [("answer", True), ("statement", False)])
async def test_a_commit_without_an_answer_is_not_tried_again(things_url: str, lost: Any, stored: bool) -> None:
    async with Wire(things_url).laid() as wire, running_database(wire.url) as database:
        wire.lose("COMMIT", lost)
        work = Work()
        with pytest.raises(OutcomeUnknown):
            await database.with_transaction(work)
    assert work.tries == 1
    assert (10 in await values(things_url)) is stored


@pytest.mark.parametrize(("lost", "result", "tries"), [("answer", "found", 1), ("statement", "done", 2)])
async def test_commit_once_looks_before_it_does_the_work_again(
    things_url: str, lost: Any, result: str, tries: int
) -> None:
    async with Wire(things_url).laid() as wire, running_database(wire.url) as database:
        wire.lose("COMMIT", lost)
        work = Work()
        assert await database.commit_once(work, look) == result
    assert work.tries == tries
    assert 10 in await values(things_url)


async def test_a_cancelled_transaction_leaves_nothing_open(things_url: str) -> None:
    inside = asyncio.Event()

    async def stay(_connection: Any, _tries: int) -> None:
        inside.set()
        await asyncio.Event().wait()

    async with running_database(things_url, db_pool_max=2) as database:
        transacting = asyncio.create_task(database.with_transaction(Work(stay)))
        await inside.wait()
        transacting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await transacting
        assert database.stats.in_use == 0
        assert await database.with_transaction(Work()) == "done"
