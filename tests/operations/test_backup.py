"""A dump of a database at work, restored: each log is what it was at one moment, and the work goes on from there."""

import asyncio
from pathlib import Path

from tests.operations.logs import logs_of, stopped_after_take_over
from tests.operations.programs import programs_for, run_program
from tests.support.fleet import Caller, Replica, eventually, start_fleet
from tests.support.fleet_reader import Reader
from tests.support.postgres import connect

# Compaction and purge while the dump is taken, not an hour and a month later.
IMPATIENT = {"COMPACT_AFTER_MINUTES": "0.001", "TRASH_RETENTION_DAYS": "0"}
SHORT = "[[tokens=20 rate=0]]"
ENDLESS = "[[tokens=100000 rate=100]]"


async def follow(caller: Caller, replica: Replica, session_id: str) -> Reader:
    """Its reader, when it has come to the end."""
    return await Reader(caller.http, session_id, [replica.url]).follow()


async def is_reset(caller: Caller, replica: Replica, session_id: str, last_event_id: int) -> bool:
    """Whether a reader that comes back with this cursor is told to begin anew, and gets the log from its beginning."""
    headers = {"Last-Event-ID": str(last_event_id)}
    async with caller.http.get(f"{replica.url}/api/resume/{session_id}", headers=headers) as answer:
        assert answer.status == 200
        told = b""
        async for line in answer.content:
            told += line
            if line.startswith(b"id: "):
                return line == b"id: 1\n" and b"event: reset" in told
    return False


async def test_what_was_dumped_under_load_is_one_moment_and_goes_on_beside_the_living_fleet(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    programs = await programs_for(database_url)
    dump = tmp_path / "dump"
    living = await connect(database_url)
    async with start_fleet(database_url, 1, **IMPATIENT) as fleet, fleet.caller() as caller:
        [replica] = fleet.replicas
        running = await caller.start(replica, ENDLESS)
        await caller.send(replica, running.session_id, SHORT)
        later = await caller.start(replica, SHORT)
        gone = await caller.start(replica, SHORT)
        for run in (later, gone):
            await follow(caller, replica, run.session_id)
        reader = Reader(caller.http, running.session_id, [replica.url])
        following = asyncio.create_task(reader.follow())
        await reader.has_seen(20)

        looking = await connect(database_url)
        async with looking.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await looking.fetchval("SELECT pg_export_snapshot()")
            then = await logs_of(looking)
            await caller.send(replica, later.session_id, SHORT)
            beyond = (await follow(caller, replica, later.session_id)).last_id
            await caller.call("DELETE", replica, f"/api/sessions/{gone.session_id}")

            async def removed() -> bool:
                find = "SELECT count(*) FROM events WHERE chat_session_id = $1 AND type = 'text_delta'"
                return not any([await living.fetchval(find, run.session_id) for run in (later, gone)])

            await eventually(removed, "deltas and a deleted session are removed")
            await run_program(
                programs / "pg_dump", "--format=custom", f"--snapshot={snapshot}", "--file", dump, database_url
            )
        await looking.close()

        async with start_fleet(empty_database_url, 1, wait=False, MAX_ACTIVE_RUNS="0") as other:
            [second] = other.replicas
            await eventually(lambda: waits_for_its_schema(second), "a replica waits on the empty database")
            await run_program(
                programs / "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner",
                f"--dbname={empty_database_url}", dump,
            )  # fmt: skip
            await second.ready()

            assert await is_reset(caller, second, later.session_id, beyond)
            assert await is_reset(caller, second, running.session_id, reader.last_id)
            second.terminate()
            await second.ended()
            second.configure(MAX_ACTIVE_RUNS="100")
            second.start()
            await second.ready()
            await stopped_after_take_over(caller, second, running)
            restored = await connect(empty_database_url)
            now = await logs_of(restored)
            await restored.close()
            assert sorted(log.status for log in then.values()) == ["completed", "completed", "running"]
            for session_id, log in then.items():
                assert log.unexplained == now[session_id].unexplained == []
                assert now[session_id].events[: len(log.events)] == log.events
            assert {log.status for log in now.values()} == {"completed"}

        await caller.interrupt(replica, running)
        await following
        assert (reader.faults(graceful=True), reader.outcomes[running.run_id]) == ([], "interrupted")
        assert {log.status for log in (await logs_of(living)).values()} == {"completed"}
    await living.close()


async def waits_for_its_schema(replica: Replica) -> bool:
    return await replica.probe("/ready") == (503, {"status": "not_ready", "reason": "migrations"})
