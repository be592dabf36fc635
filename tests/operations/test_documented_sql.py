"""Every block of SQL in docs/operations.md is carried out by `psql`, on a database that was at work."""

import asyncio
import re

from tests.operations.document import block_with, blocks
from tests.operations.programs import programs_for, run_program
from tests.support.fleet import eventually, start_fleet
from tests.support.fleet_reader import Reader
from tests.support.postgres import connect

HARMLESS = block_with("provider = 'none'")
IMPATIENT = {"ORPHAN_SESSION_TIMEOUT_MINUTES": "0.01", "ORPHAN_CLEANUP_INTERVAL_MINUTES": "0.01"}
SHORT, ENDLESS = "[[tokens=5 rate=0]]", "[[tokens=100000 rate=20]]"


async def psql(url: str, block: str, **variables: str) -> str:
    given = [f"--set={name}={value}" for name, value in {"ON_ERROR_STOP": "1", **variables}.items()]
    program = await programs_for(url) / "psql"
    return await run_program(program, "--no-psqlrc", "--csv", "--tuples-only", *given, url, given=block)


async def test_each_block_answers_on_a_database_at_work(database_url: str) -> None:
    async with start_fleet(database_url, 1) as fleet, fleet.caller() as caller:
        ended = await caller.start(fleet[0], SHORT)
        await Reader(caller.http, ended.session_id, [fleet[0].url]).follow()
        _, answer = await caller.call("GET", fleet[0], "/api/auth/session")
        path = f"/api/sessions/{ended.session_id}/files/a.txt"
        async with caller.http.put(fleet[0].url + path, data=b"content") as stored:
            assert stored.status == 201
        running = await caller.start(fleet[0], ENDLESS)
        reader = Reader(caller.http, running.session_id, [fleet[0].url])

        async def answers(words: str, run: str = ended.run_id, session: str = ended.session_id) -> str:
            block = block_with(words)
            asked.add(block)
            return await psql(database_url, block, run=run, session=session, email=answer["user"]["email"].upper())

        asked = {HARMLESS}
        assert "events," in await answers("n_tup_hot_upd")
        assert await answers("h.last_seq <> coalesce") == ""
        assert (await answers("|| object_id")).startswith(f"{ended.session_id}/")
        assert f"r1,{running.run_id}" in re.sub(r",\d.*?,[tf],", ",", await answers("silent_for"))
        assert "orphans,r1,t," in await answers("l.last_run_at")
        assert ended.session_id in await answers("lower(:'email')")
        assert f"{ended.run_id},simulated,simulated-1,completed,1,0," in await answers("r.interrupt_by, r.end_seq")
        assert [line.split(",")[2] for line in (await answers("NOT IN ('text_delta'")).splitlines()] == [
            "user_message", "run_started", "message", "usage", "completed",
        ]  # fmt: skip
        assert "webedt-" in await answers("GROUP BY application_name")
        await answers("interrupt_by = 'operator'", running.run_id, running.session_id)
        assert (await reader.follow()).outcomes == {running.run_id: "interrupted"}
        for block in set(blocks()) - asked:
            await psql(database_url, block)


async def test_a_copy_that_was_made_harmless_drives_nothing_of_what_it_was_copied_from(database_url: str) -> None:
    async with start_fleet(database_url, 1) as fleet, fleet.caller() as caller:
        run = await caller.start(fleet[0], ENDLESS)
        await caller.send(fleet[0], run.session_id, SHORT)
        reader = Reader(caller.http, run.session_id, [fleet[0].url])
        following = asyncio.create_task(reader.follow())
        await reader.has_seen(5)
        following.cancel()
    await psql(database_url, HARMLESS + block_with("DELETE FROM instances"))
    connection = await connect(database_url)
    before = await connection.fetchval("SELECT max(seq) FROM events")
    async with start_fleet(database_url, 1, **IMPATIENT):

        async def ended() -> bool:
            return bool(await connection.fetchval("SELECT true FROM runs WHERE status = 'failed'"))

        await eventually(ended, "nobody drives it, and the sweep ends it")
        assert await connection.fetchval("SELECT type FROM events WHERE seq = $1", before + 1) == "failed"
        assert await connection.fetchval("SELECT count(*) FROM runs WHERE status = 'queued'") == 1
        assert await connection.fetchval("SELECT count(*) FROM sessions") == 1, "the new fleet's own login"
    await connection.close()
