"""Accepting prompts: the queue, `onBusy`, and the idempotency key."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from tests.support.log_harness import LogDatabase
from tests.support.replica import ENDLESS, SHORT, Replica, of_run, only, until_status
from tests.support.waiting import eventually
from webedt.database.interface import ADatabase
from webedt.domain.errors import Conflict, InvalidRequest, NotFound


async def started_order(log: LogDatabase, session_id: UUID) -> list[str]:
    return [json.loads(event.data)["runId"] for event in await log.log(session_id) if event.type == "run_started"]


async def test_the_runs_of_a_session_start_in_the_order_of_their_prompts(
    log: LogDatabase, full_replica: Replica, database_url: str
) -> None:
    first = await full_replica.prompt(log)
    accepted = [first, *[await full_replica.prompt(log, session_id=first.session_id) for _ in range(5)]]
    assert [one.position for one in accepted] == [0, 1, 2, 3, 4, 5]
    assert [one.status for one in accepted] == ["queued"] * 6
    assert [one.prompt_seq for one in accepted] == [1, 2, 3, 4, 5, 6]
    async with Replica(database_url, "b").running():
        await until_status(log, accepted[-1].run_id, "completed")
    assert await started_order(log, first.session_id) == [str(one.run_id) for one in accepted]
    assert (await log.session(first.session_id))["status"] == "completed"


async def test_two_replicas_that_claim_the_same_session_at_once_have_one_driver_between_them(
    log: LogDatabase, replica: Replica, other: Replica
) -> None:
    for _ in range(8):
        session_id = await log.new_session()
        run_id = await log.accept(session_id, text=ENDLESS)
        await log.accept(session_id)
        claims = await asyncio.gather(
            *(one.execution.claim(session_id) for one in (replica, other, replica, other, replica, other))
        )
        assert sum(claims) <= 1  # none: the sweep of one of them was faster
        run = await until_status(log, run_id, "running")
        assert run["attempt"] == 1
        assert run["owner"] in (replica.identity.instance_id, other.identity.instance_id)
        assert await started_order(log, session_id) == [str(run_id)]
        assert (await log.head(session_id))["fence"] == 1
    assert replica.execution.active + other.execution.active == 8


async def test_a_replica_claims_no_more_runs_than_it_has_room_for(log: LogDatabase, database_url: str) -> None:
    async with Replica(database_url, "small", max_active_runs=2).running() as small:
        accepted = [await small.prompt(log, ENDLESS) for _ in range(4)]
        assert [one.status for one in accepted] == ["running", "running", "queued", "queued"]
        assert small.execution.active == 2
        await small.runs.interrupt(log.user_id, accepted[0].session_id, None)
        await until_status(log, accepted[2].run_id, "running")
        assert (await log.run(accepted[3].run_id))["status"] == "queued"


async def test_a_prompt_for_a_busy_session_waits_for_its_turn(log: LogDatabase, replica: Replica) -> None:
    first = await replica.prompt(log, "[[tokens=20 rate=100]]")
    second = await replica.prompt(log, session_id=first.session_id)
    assert (second.status, second.position) == ("queued", 1)
    assert (await log.session(first.session_id))["status"] == "running"
    await until_status(log, second.run_id, "completed")
    events = await log.log(first.session_id)
    end_of_first, _ = only(of_run(events, first.run_id), "completed")
    start_of_second, _ = only(of_run(events, second.run_id), "run_started")
    assert end_of_first < start_of_second


async def test_a_prompt_that_rejects_waiting_is_refused_by_a_busy_session_and_leaves_no_trace(
    log: LogDatabase, replica: Replica, full_replica: Replica
) -> None:
    running = await replica.prompt(log, ENDLESS)
    with pytest.raises(Conflict):
        await replica.prompt(log, session_id=running.session_id, on_busy="reject", idempotency_key="k")
    assert (await log.types(running.session_id)).count("user_message") == 1
    await replica.runs.interrupt(log.user_id, running.session_id, None)
    await until_status(log, running.run_id, "interrupted")
    taken = await replica.prompt(log, session_id=running.session_id, on_busy="reject", idempotency_key="k")
    assert not taken.repeated
    await until_status(log, taken.run_id, "completed")


async def test_a_prompt_is_rejected_by_a_session_where_another_one_waits_too(
    log: LogDatabase, full_replica: Replica
) -> None:
    waiting = await full_replica.prompt(log)
    with pytest.raises(Conflict):
        await full_replica.prompt(log, session_id=waiting.session_id, on_busy="reject")


async def test_a_prompt_that_interrupts_ends_the_running_run_and_is_answered_next(
    log: LogDatabase, replica: Replica, full_replica: Replica
) -> None:
    running = await replica.prompt(log, ENDLESS)
    waiting = await replica.prompt(log, session_id=running.session_id)
    urgent = await full_replica.prompt(log, session_id=running.session_id, on_busy="interrupt")
    assert urgent.interrupts == running.run_id
    await until_status(log, urgent.run_id, "completed")
    events = await log.log(running.session_id)
    _, data = only(of_run(events, running.run_id), "interrupted")
    assert data["by"] == "new_prompt"
    assert (await log.run(waiting.run_id))["status"] == "completed"


async def test_a_strangers_session_takes_no_prompt(log: LogDatabase, full_replica: Replica, database_url: str) -> None:
    mine = await full_replica.prompt(log)
    async with LogDatabase(database_url) as stranger:
        for session_id in (mine.session_id, uuid4()):
            with pytest.raises(NotFound, match="no such session"):
                await full_replica.prompt(stranger, session_id=session_id)
    assert await log.types(mine.session_id) == ["user_message"]


async def test_an_unknown_provider_is_refused_before_anything_is_stored(log: LogDatabase, replica: Replica) -> None:
    with pytest.raises(InvalidRequest, match="known are"):
        await replica.prompt(log, provider="nobody")
    assert await log.connection.fetchval("SELECT count(*) FROM session_heads") == 0


@pytest.mark.parametrize("where", ["new session", "own session"])
async def test_twenty_identical_requests_at_once_on_two_replicas_make_one_run(
    log: LogDatabase, replica: Replica, full_replica: Replica, where: str
) -> None:
    session_id = None if where == "new session" else await log.new_session()
    more = {"session_id": session_id, "idempotency_key": "key", "route": "r", "body_hash": b"same"}
    replicas = (replica, full_replica)
    accepted = await asyncio.gather(*(replicas[n % 2].prompt(log, **more) for n in range(20)))
    assert len({(one.session_id, one.run_id, one.prompt_seq) for one in accepted}) == 1
    assert sum(not one.repeated for one in accepted) == 1
    assert await log.connection.fetchval("SELECT count(*) FROM runs") == 1
    assert await log.connection.fetchval("SELECT count(*) FROM session_heads") == 1
    await until_status(log, accepted[0].run_id, "completed")
    assert (await log.types(accepted[0].session_id)).count("user_message") == 1

    again = await full_replica.prompt(log, **more)
    assert (again.run_id, again.status, again.repeated) == (accepted[0].run_id, "completed", True)
    with pytest.raises(Conflict, match="another body"):
        await replica.prompt(log, **{**more, "body_hash": b"other"})


async def test_requests_at_once_with_one_key_and_different_bodies_make_one_run_and_refuse_the_other_body(
    log: LogDatabase, full_replica: Replica
) -> None:
    session_id = await log.new_session()
    more = {"session_id": session_id, "idempotency_key": "key", "route": "r"}
    outcomes = await asyncio.gather(
        *(full_replica.prompt(log, body_hash=b"%d" % (n % 2), **more) for n in range(10)), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, Conflict)]
    assert len(refused) == 5
    assert len({one.run_id for one in outcomes if not isinstance(one, BaseException)}) == 1
    assert await log.types(session_id) == ["user_message"]


async def test_a_key_is_the_users_the_routes_and_forgotten_after_a_day(log: LogDatabase, full_replica: Replica) -> None:
    more = {"idempotency_key": "key", "body_hash": b"same"}
    first = await full_replica.prompt(log, SHORT, route="one", **more)
    elsewhere = await full_replica.prompt(log, SHORT, route="two", **more)
    assert elsewhere.run_id != first.run_id
    await log.connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    later = await full_replica.prompt(log, SHORT, route="one", **more)
    assert later.run_id != first.run_id
    assert not later.repeated


async def test_prompts_that_come_at_once_leave_connections_of_the_pool_to_others(
    log: LogDatabase, database_url: str
) -> None:
    held_up = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND query LIKE '%idempotency_keys k%'"""
    async with Replica(database_url, "small", db_pool_max=8).running() as small:
        database = small.provider.get(ADatabase)
        keys = await log.connect()
        async with keys.transaction():
            await keys.execute("LOCK TABLE idempotency_keys")  # nobody gets further than that

            async def are_held_up() -> bool:
                return await log.connection.fetchval(held_up) == 4

            asking = [
                asyncio.ensure_future(small.prompt(log, idempotency_key=str(n), route="send", body_hash=b""))
                for n in range(12)
            ]
            await eventually(are_held_up, "half of the pool is on its way with prompts")
            for _ in range(3):
                assert (await database.fetchrow("SELECT 1 AS one"))["one"] == 1
            assert await are_held_up()
        accepted = await asyncio.gather(*asking)
    assert len({one.run_id for one in accepted}) == 12
