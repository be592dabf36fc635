"""Another SESSION_SECRET on a fleet that goes on serving: step by step, and in the wrong order."""

import asyncio
from collections.abc import Iterable

from tests.support.fleet import Caller, Replica, start_fleet
from tests.support.fleet_reader import Reader

OLD, NEW = "the-secret-until-now-of-all-replicas", "the-secret-from-now-on-of-all-replicas"
BOTH, SWAPPED = f"{OLD},{NEW}", f"{NEW},{OLD}"


async def restart(replica: Replica, secrets: str) -> None:
    """Replace it by one that knows these secrets, as an orchestrator does."""
    replica.terminate()
    assert await replica.ended() == 0
    replica.configure(SESSION_SECRET=secrets)
    replica.start()
    await replica.ready()


async def known(caller: Caller, replica: Replica, token: str) -> bool:
    """Whether the replica takes this login."""
    headers = {"Authorization": f"Bearer {token}"}
    status, _ = await caller.call("GET", replica, "/api/auth/session", headers=headers)
    assert status in (200, 401)
    return status == 200


async def all_known(caller: Caller, replicas: Iterable[Replica], tokens: Iterable[str]) -> bool:
    return all([await known(caller, replica, token) for replica in replicas for token in tokens])


async def test_a_rotation_step_by_step_logs_nobody_out_who_came_meanwhile(database_url: str) -> None:
    async with start_fleet(database_url, 2, SESSION_SECRET=OLD) as fleet, fleet.caller() as caller:
        first, second = fleet.replicas
        away = await fleet.new_user(first)
        tokens = [fleet.token]
        run = await caller.start(first, "[[tokens=100000 rate=20]]")
        _, link = await caller.call("POST", first, f"/api/sessions/{run.session_id}/share", {})
        early = link["shareToken"]
        reader = Reader(caller.http, run.session_id, [first.url, second.url])
        following = asyncio.create_task(reader.follow())
        await reader.has_seen(5)

        for secrets in (BOTH, SWAPPED):
            for replica in fleet.replicas:
                await restart(replica, secrets)
                tokens += [await fleet.new_user(one) for one in fleet.replicas]
                assert await all_known(caller, fleet.replicas, tokens)
                assert {(await caller.call("GET", one, f"/api/shared/{early}"))[0] for one in fleet.replicas} == {200}
        _, link = await caller.call("POST", first, f"/api/sessions/{run.session_id}/share", {})

        for replica in fleet.replicas:
            await restart(replica, NEW)
            assert await all_known(caller, fleet.replicas, tokens)
        await reader.has_seen(reader.last_id + 5)
        assert [await known(caller, replica, away) for replica in fleet.replicas] == [False, False]
        assert (await caller.call("GET", first, f"/api/shared/{early}"))[0] == 404
        assert (await caller.call("GET", first, f"/api/shared/{link['shareToken']}"))[0] == 200

        await caller.interrupt(first, run)
        await following
        assert reader.faults(graceful=True) == []


async def test_in_the_wrong_order_logins_fail_on_some_replicas_and_come_back(database_url: str) -> None:
    async with start_fleet(database_url, 2, SESSION_SECRET=OLD) as fleet, fleet.caller() as caller:
        ahead, behind = fleet.replicas
        await restart(ahead, SWAPPED)
        tokens = [fleet.token, await fleet.new_user(ahead)]
        assert await all_known(caller, [ahead], tokens)
        assert [await known(caller, behind, token) for token in tokens] == [False, False], "it has never heard of NEW"

        await restart(behind, BOTH)
        assert await all_known(caller, fleet.replicas, [*tokens, await fleet.new_user(behind)])
        await restart(ahead, BOTH)
        assert await all_known(caller, fleet.replicas, tokens)
        await restart(ahead, OLD)
        assert await all_known(caller, fleet.replicas, tokens), "with OLD first again they went back to it"
