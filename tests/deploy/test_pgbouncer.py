"""Behind PgBouncer in transaction mode, with the configuration as it is shipped, everything is as it is without one."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.chaos.audit import ask, audit
from tests.chaos.load import Load
from tests.database.running import running_database
from tests.support.fleet import Fleet, eventually, start_fleet
from tests.support.log_harness import LogDatabase
from tests.support.pgbouncer import SHIPPED, PgBouncer, pgbouncer, pgbouncer_version
from tests.support.replica import Replica
from webedt.config import Settings
from webedt.database.postgres import LOCK_TIMEOUT_MS
from webedt.domain.errors import Unavailable

FEW = 2
BACKENDS = "SELECT application_name AS name, query FROM pg_stat_activity WHERE datname = current_database()"
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture
def pooler(database_url: str) -> Iterator[PgBouncer]:
    """With fewer connections to PostgreSQL than any replica's pool has to it."""
    with pgbouncer(database_url, default_pool_size=FEW) as server:
        yield server


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogDatabase]:
    async with LogDatabase(database_url) as database:
        yield database


def test_the_configuration_has_the_limits_of_connections_that_set_their_own() -> None:
    text = SHIPPED.read_text()
    settings = Settings()
    set_there = {name: int(value) for name, value in re.findall(r"SET (\w+) = (\d+)", text)}
    assert set_there == {
        "statement_timeout": settings.db_statement_timeout_seconds * 1000,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": min(settings.lease_seconds / 2, 5) * 1000,
    }
    values = dict(re.findall(r"^(\w+) = (\S+)$", text, re.MULTILINE))
    assert values["pool_mode"] == "transaction"
    assert float(values["query_wait_timeout"]) == settings.db_connect_timeout_seconds


async def test_a_fleet_runs_resumes_interrupts_and_survives_its_pooler(database_url: str, pooler: PgBouncer) -> None:
    ways = {"DATABASE_URL": pooler.url_of(database_url), "DATABASE_DIRECT_URL": database_url, "MAX_ATTEMPTS": "20"}
    async with start_fleet(database_url, 2, **ways) as fleet, fleet.caller() as caller:
        first, second = fleet.replicas
        load = Load(caller)
        stopped = await load.run(first, 100_000, 50, [[first, second], [second, first]])
        moved = await load.run(first, 600, 50, [[first, second], [second, first]])
        await load.until(lambda reader: reader.last_id >= 10, "both runs are under way")
        assert await caller.interrupt(second, stopped) == 202
        await load.readers[0].until(lambda reader: bool(reader.endings), "the run ends")
        assert load.readers[0].outcomes == {stopped.run_id: "interrupted"}
        await only_the_pools_go_through(database_url)

        going = load.readers_of(moved)
        pooler.pause()
        listing = asyncio.create_task(caller.call("GET", second, "/api/sessions"))
        done, _ = await asyncio.wait([listing], timeout=3.0)  # how long it lasts
        assert not done
        seen = going[0].last_id
        await going[0].has_seen(seen + 10)  # appends do not go through it, and readers at the head need no query
        pooler.resume()
        assert (await listing)[0] == 200

        pooler.kill()
        await going[0].has_seen(going[0].last_id + 10)
        pooler.start()
        await both_list(fleet, load)

        first.kill()
        await going[1].until(lambda reader: reader.first_mark("run_recovered") is not None, "the run is taken over")
        await load.finish(report := NoReport())
        assert report.faults == []
    found = await audit(database_url)
    assert found.faults == []
    for reader in load.readers:
        assert reader.faults() == []
        assert reader.last_id == found.events[reader.session_id]


class NoReport:
    """Where `Load.finish` writes what went wrong."""

    def __init__(self) -> None:
        self.faults: list[str] = []


async def only_the_pools_go_through(database_url: str) -> None:
    """Whatever has a session of its own goes around the pooler, and no more goes through it than it may."""
    backends = await ask(database_url, BACKENDS)
    pooled = [one for one in backends if one["name"] == "webedt-pool"]
    assert 0 < len(pooled) <= FEW
    assert not [one for one in pooled if "LISTEN" in one["query"].upper() or "NOTIFY" in one["query"].upper()]
    assert {one["name"] for one in backends} >= {"webedt-heartbeat", "webedt-writer", "webedt-listener"}


async def both_list(fleet: Fleet, load: Load) -> None:
    """Both answer through the pooler again, at the first try."""
    for replica in fleet.replicas:
        assert (await load.caller.call("GET", replica, "/api/sessions"))[0] == 200


async def test_no_setting_of_a_transaction_stays_for_the_next_and_each_has_its_limits(
    database_url: str, pooler: PgBouncer
) -> None:
    async def shown(connection: Any) -> tuple[str, ...]:
        return tuple([await connection.fetchval("SELECT current_setting($1)", name) for name in LIMITS])

    ways = {"database_url": pooler.url_of(database_url), "database_direct_url": database_url}
    async with running_database(database_url, **ways, db_statement_timeout_seconds=7, lease_seconds=4) as database:
        within = await asyncio.gather(*(database.with_transaction(shown) for _ in range(10)))
        assert set(within) == {("7s", "3s", "2s")}
        outside = [await database.fetchrow("SELECT current_setting($1)", name) for name in LIMITS]
        assert [row[0] for row in outside] == ["30s", "3s", "5s"]
        assert (await database.fetchrow("SELECT current_setting('TimeZone')"))[0] == "UTC"


async def test_no_question_costs_one_more_for_a_setting(database_url: str) -> None:
    with pgbouncer(database_url, default_pool_size=1, verbose=2) as pooler:
        ways = {"database_url": pooler.url_of(database_url), "database_direct_url": database_url}
        async with running_database(database_url, **ways) as database:
            await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(10)))
        log = pooler.log()
    assert "login attempt" in log or "new connection" in log
    assert "varcache_apply" not in log


@pytest.mark.parametrize("prepared", [False, True])
async def test_whoever_shares_a_connection_gets_the_answer_to_the_own_question(
    database_url: str, prepared: bool
) -> None:
    if prepared and pgbouncer_version() < (1, 21):
        pytest.skip("prepared statements need PgBouncer 1.21 or newer")
    settings = {"default_pool_size": FEW, **({"max_prepared_statements": 200} if prepared else {})}
    with pgbouncer(database_url, **settings) as pooler:
        ways = {"database_url": pooler.url_of(database_url), "database_direct_url": database_url}
        async with (
            running_database(database_url, **ways, db_prepared_statements=prepared) as one,
            running_database(database_url, **ways, db_prepared_statements=prepared) as two,
        ):

            async def ask_often(number: int) -> None:
                database = (one, two)[number % 2]
                for turn in range(20):
                    kind = (number + turn) % 5
                    row = await database.fetchrow(f"SELECT $1::bigint AS asked, {kind} AS kind", number)
                    assert (row["asked"], row["kind"]) == (number, kind)

            await asyncio.gather(*(ask_often(number) for number in range(40)))


async def test_a_prompt_whose_commit_outlives_the_pooler_is_there_once(
    database_url: str, pooler: PgBouncer, log: LogDatabase
) -> None:
    """PgBouncer dies while PostgreSQL commits: it may look as if nothing were there, and then it is."""
    await ask(database_url, SLOW_COMMIT)
    async with Replica(
        pooler.url_of(database_url), "a", database_direct_url=database_url, max_active_runs=0
    ).running() as replica:
        prompting = asyncio.create_task(replica.prompt(log, idempotency_key="the-one"))

        async def commits() -> bool:
            found = await ask(database_url, f"{BACKENDS} AND wait_event = 'PgSleep'")
            return any("COMMIT" in one["query"] for one in found)

        await eventually(commits, "PostgreSQL is committing")
        pooler.kill()
        pooler.start()
        accepted = await prompting
        again = await replica.prompt(log, idempotency_key="the-one")
    assert again.run_id == accepted.run_id
    assert await log.types(accepted.session_id) == ["user_message"]
    assert len(await ask(database_url, "SELECT 1 FROM runs")) == 1


SLOW_COMMIT = """
DO $do$ BEGIN
    CREATE FUNCTION take_your_time() RETURNS trigger LANGUAGE plpgsql AS
        $body$ BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END $body$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON runs DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION take_your_time();
END $do$
"""


async def test_without_a_free_connection_of_the_pooler_a_request_is_told_to_come_back(
    database_url: str,
) -> None:
    with pgbouncer(database_url, default_pool_size=1, query_wait_timeout=1) as pooler:
        ways = {"database_url": pooler.url_of(database_url), "database_direct_url": database_url}
        async with (
            running_database(database_url, **ways, db_connect_timeout_seconds=1) as database,
            database.acquire() as holder,
        ):
            await holder.execute("BEGIN")
            with pytest.raises(Unavailable):
                await database.fetch("SELECT 1")
            await holder.execute("ROLLBACK")
            assert (await database.fetchrow("SELECT 7"))[0] == 7
