"""Remote sessions under real runs: replicas that die, people who interrupt and delete, and the leader's sync."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.claude_fake import AGENT, ENVIRONMENT, FakeClaude, fake_claude
from tests.support.claude_mapping import our_items, remote_items
from tests.support.log_harness import LogDatabase, Logged
from tests.support.replica import SHORT, Replica, of_run, only, until_status
from tests.support.waiting import eventually
from webedt.domain.errors import Conflict
from webedt.providers.interface import AProviders, Item
from webedt.services.remote_sync import ARemoteSync

WORKING = "[[messages=500 rate=50]]"


@pytest.fixture
async def fake() -> AsyncIterator[FakeClaude]:
    async with fake_claude() as one:
        yield one


def replica_of(fake: FakeClaude, database_url: str, name: str, **settings: Any) -> Replica:
    chosen = {
        "anthropic_base_url": fake.url,
        "anthropic_api_key": "sk-deployment",
        "claude_agent_id": AGENT,
        "claude_environment_id": ENVIRONMENT,
        "provider_silence_seconds": 1.0,
        "remote_sync_seconds": 0.1,
        **settings,
    }
    return Replica(database_url, name, **chosen)


@pytest.fixture
async def replica(fake: FakeClaude, database_url: str) -> AsyncIterator[Replica]:
    async with replica_of(fake, database_url, "a").running() as one:
        yield one


async def remote_of(log: LogDatabase, session_id: UUID) -> Any:
    state = await log.connection.fetchval("SELECT provider_state FROM chat_sessions WHERE id = $1", session_id)
    return None if state is None else json.loads(state)


async def until_turn(log: LogDatabase, session_id: UUID, turn: str) -> Any:
    async def look() -> Any:
        state = await remote_of(log, session_id)
        return state if state is not None and state["turn"] == turn else None

    return await eventually(look, f"turn is {turn}")


def texts_of(events: list[Logged]) -> list[str]:
    """The beginnings of what the agent said, which name the turn of its session."""
    contents = [json.loads(event.data)["content"] for event in events if event.type == "message"]
    return [block["text"].split(",")[0] for content in contents for block in content if "text" in block]


def ingested(events: list[Logged]) -> list[Item]:
    return our_items((event.type, event.data) for event in events)


async def test_every_remote_event_is_taken_once_over_fifty_takeovers(
    fake: FakeClaude, database_url: str, log: LogDatabase
) -> None:
    """Fifty runs, each at a moment of its own when their replica is killed: a run is begun every 25 ms."""
    choose = random.Random(4)
    async with replica_of(fake, database_url, "heir", max_active_runs=0, lease_seconds=2.0).running() as heir:
        killed = replica_of(fake, database_url, "killed", lease_seconds=2.0)
        await killed.provider.initialize()
        await killed.heartbeat.wait_until_valid()
        await heir.may_take_over()
        runs = []
        for n in range(50):
            rate = choose.choice([5, 8, 12])
            text = f"Run {n} [[messages={choose.randint(3, 5)} tools=1 deltas=4 rate={rate}]]"
            runs.append(await killed.prompt(log, text, provider="claude"))
            await asyncio.sleep(0.02)
        await killed.crash()
        taken_over = 0
        for run in runs:
            row = await until_status(log, run.run_id, "completed", "failed", seconds=40)
            assert row["status"] == "completed"
            taken_over += row["attempt"] > 1
            events = await log.log(run.session_id)
            assert [event.id for event in events] == list(range(1, len(events) + 1))
            only(events, "completed")
            state = await remote_of(log, run.session_id)
            assert ingested(events) == remote_items(fake.log(state["session"]))
        assert taken_over > 25
        assert fake.arrived["create"] == fake.arrived["user.message"] == 50
        await killed.provider.reset()


async def test_an_interrupt_stops_the_remote_agent_too(fake: FakeClaude, replica: Replica, log: LogDatabase) -> None:
    run = await replica.prompt(log, WORKING, provider="claude")
    state = await until_turn(log, run.session_id, "open")
    await fake.logged(state["session"], "agent.message")
    await replica.runs.interrupt(log.user_id, run.session_id, run.run_id)
    await until_status(log, run.run_id, "interrupted", seconds=2)
    await fake.logged(state["session"], "user.interrupt", within=2)
    await fake.logged(state["session"], "session.status_idle")
    await until_turn(log, run.session_id, "settled")


async def test_an_interrupt_that_does_not_get_through_is_made_good_by_the_sync(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    run = await replica.prompt(log, WORKING, provider="claude")
    state = await until_turn(log, run.session_id, "open")
    await fake.logged(state["session"], "agent.message")
    fake.fail("send", "status", status=503)
    await replica.runs.interrupt(log.user_id, run.session_id, run.run_id)
    await until_status(log, run.run_id, "interrupted", seconds=2)
    await fake.logged(state["session"], "session.status_idle", within=10)
    await until_turn(log, run.session_id, "settled")


async def test_after_an_interrupt_the_next_prompt_goes_on_in_the_same_remote_session(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    run = await replica.prompt(log, WORKING, provider="claude")
    state = await until_turn(log, run.session_id, "open")
    await fake.logged(state["session"], "agent.message")
    following = await replica.prompt(log, "[[messages=1]]", run.session_id, on_busy="interrupt")
    await until_status(log, following.run_id, "completed")
    assert (await remote_of(log, run.session_id))["session"] == state["session"]
    assert texts_of(of_run(await log.log(run.session_id), following.run_id)) == ["Turn 2"]


async def test_a_deleted_session_is_archived_and_one_that_is_restored_begins_anew(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    run = await replica.prompt(log, WORKING, provider="claude")
    state = await until_turn(log, run.session_id, "open")
    await fake.logged(state["session"], "agent.message")
    fake.options.status_lag = 0.3  # an idle session may still be called running, and is not to be archived then
    await replica.sessions.delete(log.user_id, run.session_id)
    await eventually(lambda: fake.arrived["archive"] == 1, "archived")
    assert fake.sessions[state["session"]].status != "running"

    async def forgotten() -> bool:
        return await remote_of(log, run.session_id) is None

    await eventually(forgotten, "no remote session any more")
    await replica.sessions.restore(log.user_id, run.session_id)
    again = await replica.prompt(log, "[[messages=1]]", run.session_id)
    await until_status(log, again.run_id, "completed")
    assert fake.arrived["create"] == 2


async def test_a_run_whose_end_was_missed_is_woken(fake: FakeClaude, database_url: str, log: LogDatabase) -> None:
    """The driver's own look is made so late that only the sync can be it."""
    async with replica_of(fake, database_url, "a", provider_silence_seconds=60.0).running() as replica:
        sync: Any = replica.provider.get(ARemoteSync)
        sync._silent = 0.5
        fake.fail("stream", "silent", after=3)
        run = await replica.prompt(log, "[[messages=2]]", provider="claude")
        row = await until_status(log, run.run_id, "completed")
        assert (row["attempt"], row["handovers"]) == (2, 1)
        state = await remote_of(log, run.session_id)
        assert ingested(await log.log(run.session_id)) == remote_items(fake.log(state["session"]))


async def test_a_dead_upstream_is_left_alone_and_seen_to_when_it_is_back(
    fake: FakeClaude, database_url: str, log: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.services.remote_sync.LONGEST_PAUSE_SECONDS", 0.0)
    async with replica_of(fake, database_url, "a", provider_max_retries=0).running() as replica:
        runs = [await replica.prompt(log, WORKING, provider="claude") for _ in range(6)]
        for run in runs:
            state = await until_turn(log, run.session_id, "open")
            await fake.logged(state["session"], "agent.message")
        dead = fake.fail("*", "status", status=503, count=100_000)
        breaker: Any = replica.provider.get(AProviders).breakers["claude"]
        for run in runs:
            await replica.runs.interrupt(log.user_id, run.session_id, run.run_id)
            await until_status(log, run.run_id, "interrupted", seconds=3)
        await eventually(lambda: breaker.state == "open", "open")
        await asyncio.sleep(0.3)  # what was on its way
        seen = len(fake.requests)
        await asyncio.sleep(0.5)
        assert len(fake.requests) == seen
        fake.faults.remove(dead)
        breaker._open_seconds = 0.2
        for run in runs:
            await until_turn(log, run.session_id, "settled")
        assert breaker.state == "closed"


async def test_a_stored_key_that_cannot_be_read_ends_the_run_and_says_so(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    await log.connection.execute(
        "INSERT INTO credentials (user_id, provider, key_id, sealed) VALUES ($1, 'claude', '\\x00', '\\x00')",
        log.user_id,
    )
    run = await replica.prompt(log, provider="claude")
    await until_status(log, run.run_id, "failed")
    _seq, data = only(await log.log(run.session_id), "failed")
    assert data["code"] == "credential_unreadable"


async def test_a_driver_that_lost_its_run_sends_no_prompt_though_it_does_not_know_yet(
    fake: FakeClaude, database_url: str, log: LogDatabase
) -> None:
    """Its stream opens when another replica has long sent the prompt; nothing was appended that could tell it."""
    async with (
        replica_of(fake, database_url, "stale", provider_silence_seconds=10.0).running() as stale,
        replica_of(fake, database_url, "heir", max_active_runs=0).running() as heir,
    ):
        await heir.may_take_over()
        fake.fail("stream", "slow", seconds=2.5)
        run = await stale.prompt(log, "[[messages=1 silence=3]]", provider="claude")
        state = await until_turn(log, run.session_id, "open")
        await stale.freeze_heartbeat()
        await fake.logged(state["session"], "user.message")
        slow = next(one for one in fake.requests if one.fault == "slow")
        await eventually(lambda: slow.status is not None, "the old stream is open")
        await asyncio.sleep(0.2)
        stale.thaw_heartbeat()
        row = await until_status(log, run.run_id, "completed", "failed")
        assert (row["status"], row["attempt"], fake.arrived["user.message"]) == ("completed", 2, 1)


async def test_a_prompt_that_arrives_twice_all_the_same_does_not_answer_the_next_one(
    fake: FakeClaude, database_url: str, log: LogDatabase
) -> None:
    """It was on its way for longer than a lease, from a replica that was cut off: nothing can call it back."""
    async with (
        replica_of(fake, database_url, "stale", provider_silence_seconds=10.0).running() as stale,
        replica_of(fake, database_url, "heir", max_active_runs=0).running() as heir,
    ):
        await heir.may_take_over()
        fake.fail("send", "slow", seconds=2.5)
        run = await stale.prompt(log, "[[messages=1 silence=3]]", provider="claude")
        await until_turn(log, run.session_id, "open")
        await eventually(lambda: fake.requests[-1].fault == "slow", "the prompt is on its way")
        await stale.freeze_heartbeat()
        await until_status(log, run.run_id, "completed")
        assert fake.arrived["user.message"] == 2
        stale.thaw_heartbeat()
        following = await stale.prompt(log, "[[messages=2]]", run.session_id)
        await until_status(log, following.run_id, "completed")
        assert texts_of(of_run(await log.log(run.session_id), following.run_id)) == ["Turn 3"] * 2


async def test_an_interrupt_never_stops_the_prompt_that_comes_after_it(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    run = await replica.prompt(log, WORKING, provider="claude")
    state = await until_turn(log, run.session_id, "open")
    await fake.logged(state["session"], "agent.message")
    fake.fail("send", "slow", seconds=1.0)
    following = await replica.prompt(log, "[[messages=20 rate=40]]", run.session_id, on_busy="interrupt")
    await until_status(log, following.run_id, "completed")
    assert texts_of(of_run(await log.log(run.session_id), following.run_id)) == ["Turn 2"] * 20


async def test_an_interrupt_at_any_moment_leaves_a_session_that_answers_the_next_prompt(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    choose = random.Random(4)
    for _ in range(15):
        run = await replica.prompt(log, "[[messages=3 tools=1 deltas=2 rate=120]]", provider="claude")
        await asyncio.sleep(choose.uniform(0, 0.3))
        with contextlib.suppress(Conflict):  # it has ended
            await replica.runs.interrupt(log.user_id, run.session_id, run.run_id)
        await until_status(log, run.run_id, "completed", "interrupted", seconds=5)
        following = await replica.prompt(log, "[[messages=2]]", run.session_id)
        row = await until_status(log, following.run_id, "completed", "failed")
        assert row["status"] == "completed"
        state = await remote_of(log, run.session_id)
        number = fake.sessions[state["session"]].prompts_taken
        assert texts_of(of_run(await log.log(run.session_id), following.run_id)) == [f"Turn {number}"] * 2


async def test_a_session_whose_agent_is_gone_can_be_interrupted_and_deleted(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    run = await replica.prompt(log, "[[error=terminal]]", provider="claude")
    await until_status(log, run.run_id, "failed")
    fake.fail("create", "stall_headers", count=9)
    again = await replica.prompt(log, SHORT, run.session_id, provider="claude")
    await eventually(lambda: fake.requests[-1].fault == "stall_headers", "a new session is asked for")
    await replica.runs.interrupt(log.user_id, again.session_id, again.run_id)
    await until_status(log, again.run_id, "interrupted", seconds=2)
    await replica.sessions.delete(log.user_id, run.session_id)

    async def forgotten() -> bool:
        return await remote_of(log, run.session_id) is None

    await eventually(forgotten, "no remote session any more", seconds=3)


async def test_a_prompt_that_the_upstream_never_takes_is_given_up_and_not_tried_for_ever(
    fake: FakeClaude, database_url: str, log: LogDatabase
) -> None:
    """The agent rests, so the sync might wake the run again and again, each time with new patience."""
    quick = {"provider_silence_seconds": 0.2, "provider_idle_seconds": 2.0, "provider_first_token_seconds": 1.0}
    async with replica_of(fake, database_url, "a", provider_max_retries=0, **quick).running() as replica:
        fake.fail("send", "status", status=503, count=100_000)
        run = await replica.prompt(log, provider="claude")
        row = await until_status(log, run.run_id, "failed", seconds=8)
        assert row["attempt"] == 1


async def test_a_run_that_is_handed_over_at_any_moment_is_asked_and_answered_once(
    fake: FakeClaude, database_url: str, log: LogDatabase
) -> None:
    async with replica_of(fake, database_url, "heir", max_active_runs=0, lease_seconds=2.0).running():
        for number in range(6):
            async with replica_of(fake, database_url, f"old-{number}", lease_seconds=2.0).running() as old:
                run = await old.prompt(log, "[[messages=4 tools=2 deltas=4 rate=60]]", provider="claude")
                await asyncio.sleep(number * 0.05)
                await old.execution.hand_over(5, asyncio.Event())
                row = await until_status(log, run.run_id, "completed", "failed")
                assert (row["status"], row["handovers"]) == ("completed", 1)
                state = await remote_of(log, run.session_id)
                assert ingested(await log.log(run.session_id)) == remote_items(fake.log(state["session"]))
    assert (fake.arrived["create"], fake.arrived["user.message"]) == (6, 6)


async def test_another_provider_between_two_prompts_leaves_the_remote_session_as_it_was(
    fake: FakeClaude, replica: Replica, log: LogDatabase
) -> None:
    run = await replica.prompt(log, "[[messages=1]]", provider="claude")
    await until_status(log, run.run_id, "completed")
    for provider, text in (("simulated", SHORT), ("claude", "[[messages=1]]")):
        following = await replica.prompt(log, text, run.session_id, provider=provider)
        await until_status(log, following.run_id, "completed")
    assert (fake.arrived["create"], fake.arrived["user.message"]) == (1, 2)
    assert (await remote_of(log, run.session_id))["prompts"] == 2
