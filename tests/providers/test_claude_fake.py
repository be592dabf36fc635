"""The fake Managed Agents API through the official SDK: what it says is what the SDK's types say, and nothing more."""

from typing import Any

import anthropic
import pytest
from anthropic.lib.sessions import accumulate_managed_agents_event

from tests.support.claude_fake import AGENT, ENVIRONMENT, fake_claude
from tests.support.claude_fake_client import (
    PREVIEWS,
    check,
    client_of,
    kinds,
    listed,
    prompt,
    say,
    session_with,
    until_idle,
)


async def test_a_turn_goes_as_the_manual_says_and_stream_and_list_agree() -> None:
    async with session_with() as (fake, client, session_id):
        stream = await client.beta.sessions.events.stream(session_id)
        (sent,) = await say(client, session_id, prompt())
        seen = await until_idle(stream)
        events = await listed(client, session_id)
        check([sent, seen, events])
        assert sent.processed_at is None
        assert [(event.id, event.processed_at is None) for event in seen[:2]] == [(sent.id, True), (sent.id, False)]
        assert seen[1:] == events  # each event once, and the prompt as it became
        request = ["span.model_request_start", "agent.message", "span.model_request_end"]
        first = [request[0], "agent.thinking", "agent.message", "agent.tool_use", request[2], "agent.tool_result"]
        last = ["session.usage", "session.status_idle"]
        assert kinds(events) == ["user.message", "session.status_running", *first, *request, *last]
        assert events[-1].stop_reason.type == "end_turn"
        stamps = [event.processed_at for event in events]
        assert stamps == sorted(set(stamps))
        assert len({event.id for event in events}) == len(events)
        assert [event["id"] for event in fake.log(session_id)] == [event.id for event in events]


async def test_previews_are_for_those_who_ask_and_add_up_to_the_message() -> None:
    async with session_with() as (_, client, session_id):
        plain = await client.beta.sessions.events.stream(session_id)
        stream = await client.beta.sessions.events.stream(session_id, event_deltas=PREVIEWS)
        await say(client, session_id, prompt("[[messages=2 deltas=7]]"))
        seen = await until_idle(stream)
        check(seen)
        assert not {"event_start", "event_delta"} & {*kinds(await until_idle(plain))}
        assert not {"event_start", "event_delta"} & {*kinds(await listed(client, session_id))}
        assert kinds(seen).count("event_delta") == 14
        shown = None
        for event in seen:
            if event.type == "agent.message":
                assert shown is not None
                assert (shown.id, shown.content) == (event.id, event.content)
            shown = accumulate_managed_agents_event(shown, event)


async def test_a_stream_replays_nothing_and_previews_no_request_that_was_under_way() -> None:
    script = [{"do": "message", "text": "one"}, {"do": "gate", "name": "go"}, {"do": "message", "text": "two"}]
    async with session_with(script=script) as (fake, client, session_id):
        await say(client, session_id, prompt())
        await fake.logged(session_id, "agent.message")
        stream = await client.beta.sessions.events.stream(session_id, event_deltas=PREVIEWS)
        fake.open_gate("go")
        seen = await until_idle(stream)
        assert kinds(seen) == ["agent.message", "span.model_request_end", "session.usage", "session.status_idle"]


EVERYTHING = [
    {"do": "thinking"},
    {"do": "message", "text": "Some text", "deltas": 3, "shed": 1},
    {"do": "mcp"},
    {"do": "tool", "is_error": True},
    {"do": "compact"},
    {"do": "error", "retry": "retrying"},
    {"do": "error", "type": "mcp_connection_failed_error", "retry": "retrying", "mcp_server_name": "docs"},
    {"do": "fail"},
    {"do": "reschedule"},
    {"do": "refusal"},
]


async def test_every_kind_of_event_parses_into_its_type() -> None:
    async with session_with(script=EVERYTHING) as (fake, client, session_id):
        stream = await client.beta.sessions.events.stream(session_id, event_deltas=PREVIEWS)
        outcome: Any = {"type": "user.define_outcome", "description": "x", "rubric": {"type": "text", "content": "y"}}
        await say(client, session_id, {"type": "system.message", "content": [{"type": "text", "text": "Be kind."}]})
        await say(client, session_id, prompt(), outcome)
        seen = await until_idle(stream, 2)
        check([seen, await listed(client, session_id)])
        assert not fake.failures
        idle = seen[-1]
        assert (idle.stop_reason.type, idle.stop_details.category) == ("refusal", "cyber")
        assert len(kinds(seen)) > 50
        # A preview that came to nothing is closed by the end of its request, which is an error.
        broken = [event.event.id for event in seen if event.type == "event_start"]
        finished = {event.id for event in seen if event.type in PREVIEWS}
        assert len([one for one in broken if one not in finished]) == 2
        assert [event.is_error for event in seen if event.type == "span.model_request_end"].count(True) == 6


async def test_an_interrupt_stops_the_agent_and_goes_before_what_is_queued() -> None:
    async with session_with() as (fake, client, session_id):
        stream = await client.beta.sessions.events.stream(session_id, event_deltas=PREVIEWS)
        await say(client, session_id, prompt("[[messages=1 deltas=5000 chars=2 rate=200]]"))
        await say(client, session_id, prompt("[[messages=1 thinking=0]] queued"))
        async for event in stream:
            if event.type == "event_delta":
                break
        assert [event["processed_at"] for event in fake.log(session_id)][-1] is None  # what is queued comes last
        await say(client, session_id, {"type": "user.interrupt"})
        seen = await until_idle(stream, 2)
        check(seen)
        persisted = [event for event in await listed(client, session_id) if event.type != "session.usage"]
        middle = kinds(persisted).index("user.interrupt")
        stopped = ["user.interrupt", "span.model_request_end", "session.status_idle", "user.message"]
        assert kinds(persisted)[middle : middle + 4] == stopped
        assert (persisted[middle + 1].is_error, persisted[middle + 2].stop_reason.type) == (True, "end_turn")
        assert kinds(persisted).count("agent.message") == 1
        await say(client, session_id, {"type": "user.interrupt"})  # of an idle session it changes nothing
        assert (await listed(client, session_id))[-1].type == "user.interrupt"
        assert fake.arrived["user.interrupt"] == 2


async def test_tools_that_ask_wait_for_all_answers() -> None:
    async with session_with() as (fake, client, session_id):
        await say(client, session_id, prompt("[[ask=2 tools=0]]"))
        idle = await fake.logged(session_id, "session.status_idle")
        first, second = idle["stop_reason"]["event_ids"]
        assert (await client.beta.sessions.retrieve(session_id)).status == "idle"
        with pytest.raises(anthropic.BadRequestError, match="waiting on responses to events"):
            await say(client, session_id, prompt())
        await say(client, session_id, {"type": "user.tool_confirmation", "tool_use_id": first, "result": "allow"})
        rest = await fake.logged(session_id, "session.status_idle", 2)
        assert rest["stop_reason"] == {"type": "requires_action", "event_ids": [second]}
        denial = {"type": "user.tool_confirmation", "tool_use_id": second, "result": "deny", "deny_message": "no"}
        await say(client, session_id, denial)
        with pytest.raises(anthropic.BadRequestError, match="waits for it"):
            await say(client, session_id, denial)
        await fake.logged(session_id, "session.status_idle", 3)
        events = await listed(client, session_id)
        check(events)
        results = [event for event in events if event.type == "agent.tool_result"]
        assert [(event.tool_use_id, event.is_error) for event in results] == [(first, False), (second, True)]
        assert results[1].content[0].text == "no"
        assert [event.evaluated_permission for event in events if event.type == "agent.tool_use"] == ["ask", "ask"]
        assert events[-1].stop_reason.type == "end_turn"


async def test_custom_tools_are_answered_by_the_client_and_an_interrupt_gives_them_up() -> None:
    async with session_with() as (fake, client, session_id):
        await say(client, session_id, prompt("[[custom=1 tools=0]]"))
        use = (await fake.logged(session_id, "session.status_idle"))["stop_reason"]["event_ids"][0]
        result: Any = {"type": "user.custom_tool_result", "custom_tool_use_id": use}
        (sent,) = await say(client, session_id, {**result, "content": [{"type": "text", "text": "42"}]})
        assert sent.processed_at is not None  # processed on receipt
        await fake.logged(session_id, "session.status_idle", 2)
        await say(client, session_id, prompt("[[custom=1 tools=0]]"))
        await fake.logged(session_id, "session.status_idle", 3)
        await say(client, session_id, {"type": "user.interrupt"}, prompt("Something else"))
        await fake.logged(session_id, "session.status_idle", 5)
        check(await listed(client, session_id))
        assert not fake.failures


@pytest.mark.parametrize(
    ("words", "last"), [("error=exhausted", "session.status_idle"), ("error=terminal", "session.status_terminated")]
)
async def test_errors_that_end_a_turn_or_a_session(words: str, last: str) -> None:
    async with session_with() as (fake, client, session_id):
        await say(client, session_id, prompt(f"[[{words} error_type=billing_error]]"), prompt("dropped"))
        await fake.logged(session_id, last)
        events = await listed(client, session_id)
        check(events)
        assert kinds(events)[-2:] == [last, "user.message"]
        assert events[-1].processed_at is None
        session = await client.beta.sessions.retrieve(session_id)
        if last == "session.status_terminated":
            assert session.status == "terminated"
            with pytest.raises(anthropic.BadRequestError):
                await say(client, session_id, prompt())
        else:
            assert events[-2].stop_reason.type == "retries_exhausted"


async def test_a_session_pauses_at_its_budget_until_it_is_raised() -> None:
    async with fake_claude(cents_per_request=10) as fake, client_of(fake) as client:
        limit: Any = {"type": "limit", "max_list_cost": {"amount": "5", "currency": "USD"}}
        session = await client.beta.sessions.create(agent=AGENT, environment_id=ENVIRONMENT, budget=limit)
        await say(client, session.id, prompt())
        await fake.logged(session.id, "session.status_idle")
        assert kinds(await listed(client, session.id))[-3:] == [
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
        ]
        with pytest.raises(anthropic.BadRequestError, match="budget"):
            await say(client, session.id, prompt())
        await say(client, session.id, {"type": "user.interrupt"})
        assert "user.interrupt" not in kinds(await listed(client, session.id))
        raised: Any = {"type": "limit", "max_list_cost": {"amount": "500", "currency": "USD"}}
        check(await client.beta.sessions.update(session.id, budget=raised, title="Raised"))
        await fake.logged(session.id, "session.status_idle", 2)
        events = await listed(client, session.id)
        check(events)
        assert events[-1].stop_reason.type == "end_turn"
        assert events[-2].usage.list_cost.amount == "20"


@pytest.mark.parametrize("stamped", ["before_running", "after_running", "turn_end"])
async def test_prompts_may_be_stamped_earlier_or_later_and_turns_run_together(stamped: str) -> None:
    async with session_with(stamp_prompt=stamped, idle_between_turns=False, script={"messages": 1}) as it:
        fake, client, session_id = it
        await say(client, session_id, prompt("[[gate=go]]"), prompt())
        await fake.logged(session_id, "agent.message")
        queued = [event["processed_at"] for event in fake.log(session_id) if event["type"] == "user.message"]
        assert queued.count(None) == (2 if stamped == "turn_end" else 1)
        fake.open_gate("go")
        await fake.logged(session_id, "session.status_idle")
        events = kinds(await listed(client, session_id))
        assert (events.count("session.status_running"), events.count("session.status_idle")) == (1, 1)
        assert events[0] == ("user.message" if stamped == "before_running" else "session.status_running")
        assert events.count("user.message") == 2


@pytest.mark.parametrize(("flushed", "left"), [("unstamped", [None]), ("stamped", [True]), ("gone", [])])
async def test_what_becomes_of_a_queued_prompt_that_is_dropped(flushed: str, left: list[bool | None]) -> None:
    async with session_with(flushed=flushed, interrupt_flushes=True, interrupt_without_id=True) as it:
        fake, client, session_id = it
        await say(client, session_id, prompt("[[silence=60]]"), prompt("queued"))
        await fake.logged(session_id, "agent.message")
        await say(client, session_id, {"type": "user.interrupt"})
        await fake.logged(session_id, "session.status_idle")
        prompts = [event for event in await listed(client, session_id) if event.type == "user.message"]
        assert [None if event.processed_at is None else True for event in prompts[1:]] == left
        assert [event["id"] for event in fake.log(session_id) if event["type"] == "user.interrupt"] == [""]


async def test_a_script_may_be_a_function_and_one_that_fails_ends_the_session() -> None:
    async with session_with(script=lambda turn: [{"do": "message", "text": f"{turn.number}: {turn.prompt}"}]) as it:
        fake, client, session_id = it
        await say(client, session_id, prompt("One"), prompt("Two"))
        assert (await fake.logged(session_id, "agent.message", 2))["content"][0]["text"] == "2: Two"
        await say(client, session_id, prompt("[[no_such_thing]]"))
        await fake.logged(session_id, "session.status_terminated")
        assert "no_such_thing" in str(fake.failures[0])
        assert fake.sessions[session_id].arrived["user.message"] == 3
