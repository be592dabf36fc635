"""The claude provider, through the official SDK, against a fake that was written from the SDK and not from us."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.support.claude_fake import AGENT, ENVIRONMENT, FakeClaude, fake_claude
from tests.support.claude_mapping import remote_items
from tests.support.waiting import eventually
from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.log.producer import StaleFence
from webedt.providers.claude import ClaudeProvider
from webedt.providers.claude_client import ClaudeWebClient
from webedt.providers.interface import (
    Completed,
    Item,
    MessageDone,
    ProviderError,
    RunRequest,
    Step,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
    Usage,
)

State = dict[str, Any]
QUICK = {"provider_silence_seconds": 0.3, "provider_first_token_seconds": 5.0, "provider_idle_seconds": 5.0}


@asynccontextmanager
async def provider_for(fake: FakeClaude, **settings: Any) -> AsyncIterator[ClaudeProvider]:
    where = {"anthropic_base_url": fake.url, "claude_agent_id": AGENT, "claude_environment_id": ENVIRONMENT}
    chosen = Settings(**{**QUICK, **where, "provider_max_retries": 2, **settings})
    web = ClaudeWebClient(chosen)
    await web.initialize()
    yield ClaudeProvider(chosen, web)
    await web.dispose()


def ask(said: str = "Hello", state: State | None = None, **more: Any) -> RunRequest:
    usual = {"run_id": uuid4(), "session_id": uuid4(), "user_id": uuid4(), "attempt": 1, "model": None}
    prompt = [{"type": "text", "text": said}]
    return RunRequest(**{**usual, "prompt": prompt, "state": state, "api_key": Secret("sk-secret"), **more})


class Answer:
    """What a run said, as it would be committed: items, and the newest checkpoint and state."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.checkpoint: dict[str, Any] | None = None
        self.state: State | None = None

    def take(self, step: Step) -> None:
        self.items += step.items
        self.checkpoint = step.checkpoint or self.checkpoint
        self.state = step.state if step.state is not None else self.state

    @property
    def whole(self) -> list[Item]:
        """Without what only announces it."""
        return [item for item in self.items if not isinstance(item, TextDelta | ThinkingDelta)]

    @property
    def texts(self) -> list[str]:
        done = [item.content for item in self.items if isinstance(item, MessageDone)]
        return [block["text"] for content in done for block in content if block["type"] == "text"]


async def answer(
    provider: ClaudeProvider, request: RunRequest, checkpoint: dict[str, Any] | None = None, steps: int | None = None
) -> Answer:
    """The whole answer; or as many steps, and then the run is dropped as by `kill -9`."""
    said = Answer()
    async with aclosing(provider.run(request, checkpoint)) as stream:
        async for step in stream:
            said.take(step)
            steps = None if steps is None else steps - 1
            if steps == 0:
                break
    return said


def is_complete(said: Answer, fake: FakeClaude) -> None:
    """Every event of the one remote log, once and in order, and then the end."""
    [session_id] = fake.sessions
    assert said.whole == [*remote_items(fake.log(session_id)), Completed("end_turn")]
    assert said.state is not None
    assert said.state["turn"] == "closed"
    assert fake.failures == []


async def test_a_prompt_makes_a_remote_session_and_its_answer_is_all_that_happens_there() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        request = ask(repository_url="https://github.com/a/b", branch="dev")
        said = await answer(provider, request)
        is_complete(said, fake)
        [session] = fake.sessions.values()
        shown = session.shown()
        assert (shown["agent"]["id"], shown["environment_id"], shown["title"]) == (AGENT, ENVIRONMENT, "Hello")
        assert shown["metadata"] == {"webedt_run": str(request.run_id), "webedt_session": str(request.session_id)}
        [resource] = shown["resources"]
        assert (resource["type"], resource["url"]) == ("github_repository", "https://github.com/a/b")
        assert resource["checkout"] == {"type": "branch", "name": "dev"}
        deltas = [item.text for item in said.items if isinstance(item, TextDelta)]
        assert "".join(deltas) == "".join(said.texts)


async def test_a_model_of_ones_own_overrides_that_of_the_agent() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        await answer(provider, ask(model="claude-haiku-5-5"))
        [session] = fake.sessions.values()
        assert session.shown()["agent"]["model"]["id"] == "claude-haiku-5-5"


async def test_images_go_into_the_prompt() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
    async with fake_claude() as fake, provider_for(fake) as provider:
        await answer(provider, ask(prompt=[{"type": "text", "text": "What is this?"}, image]))
        [session_id] = fake.sessions
        prompt = next(event for event in fake.log(session_id) if event["type"] == "user.message")
        assert prompt["content"][1] == image


async def test_a_follow_up_goes_into_the_same_remote_session() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        first = await answer(provider, ask("one"))
        second = await answer(provider, ask("two", first.state))
        assert (fake.arrived["create"], fake.arrived["user.message"]) == (1, 2)
        [session_id] = fake.sessions
        ours = [item for item in [*first.whole, *second.whole] if not isinstance(item, Completed)]
        assert ours == remote_items(fake.log(session_id))


@pytest.mark.parametrize("kind", ["lose", "hang"])
@pytest.mark.parametrize(("endpoint", "arrives"), [("create", "create"), ("send", "user.message")])
async def test_an_answer_that_is_lost_doubles_nothing(
    endpoint: str, arrives: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.providers.claude_client.CALL_SECONDS", 0.5)
    async with fake_claude() as fake, provider_for(fake) as provider:
        fake.fail(endpoint, kind)
        said = await answer(provider, ask())
        assert fake.arrived[arrives] == 1
        is_complete(said, fake)


@pytest.mark.parametrize("status", [429, 500, 503, 529])
@pytest.mark.parametrize("endpoint", ["create", "send", "stream"])
async def test_what_passes_is_waited_for(endpoint: str, status: int) -> None:
    async with fake_claude() as fake, provider_for(fake, provider_max_retries=0) as provider:
        fake.fail(endpoint, "status", status=status, count=2)
        is_complete(await answer(provider, ask()), fake)


@pytest.mark.parametrize("kind", ["cut", "end", "silent", "duplicate", "error_event"])
@pytest.mark.parametrize("after", [0, 1, 4, 9])
async def test_a_stream_that_breaks_anywhere_loses_and_doubles_nothing(kind: str, after: int) -> None:
    async with fake_claude(ties=1 + after % 3) as fake, provider_for(fake) as provider:
        fake.fail("stream", kind, after=after, count=2)
        is_complete(await answer(provider, ask("[[messages=3 tools=2 rate=400]]")), fake)


async def test_it_goes_on_where_another_replica_was_killed_at_whatever_step() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        for killed_after in range(1, 30):
            fake.sessions.clear()
            request = ask("[[messages=2 tools=1 deltas=3 rate=2000]]")
            before = await answer(provider, request, steps=killed_after)
            if Completed("end_turn") in before.items:
                break
            recovered = ask(state=before.state, run_id=request.run_id, attempt=2, prompt=request.prompt)
            after = await answer(provider, recovered, before.checkpoint)
            before.items += after.items
            before.state = after.state
            is_complete(before, fake)
        assert killed_after > 6


@pytest.mark.parametrize(
    "options", [{"ties": 12}, {"ties": 30, "stamp_prompt": "turn_end"}, {"status_lag": 1.0}, {"page": 2}]
)
@pytest.mark.parametrize("seed", range(3))
async def test_over_any_number_of_replicas_and_connections_every_event_is_taken_once(
    seed: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed again and again while streams break, with questions of the agent between: also right before the end."""
    dice = random.Random(seed)
    options = dict(options)
    monkeypatch.setattr("webedt.providers.claude_client.PAGE", options.pop("page", 200))
    async with fake_claude(**options) as fake, provider_for(fake) as provider:
        for _ in range(6):
            kind = dice.choice(["cut", "end", "silent", "duplicate", "error_event"])
            fake.fail("stream", kind, after=dice.randrange(12))
        said, run_id, attempt = Answer(), uuid4(), 0
        while Completed("end_turn") not in said.items:
            attempt += 1
            request = ask("[[messages=6 tools=4 deltas=3 rate=300 ask=2]]", said.state, run_id=run_id, attempt=attempt)
            part = await answer(provider, request, said.checkpoint, steps=dice.randrange(1, 12))
            said.take(Step(part.items, part.checkpoint, part.state))
        is_complete(said, fake)


async def test_a_session_that_was_made_but_not_kept_is_found_again() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        request = ask()
        async with aclosing(provider.run(request, None)) as stream:
            await anext(stream)  # and lost before it was stored
        said = await answer(provider, ask(run_id=request.run_id, attempt=2))
        assert fake.arrived["create"] == 1
        is_complete(said, fake)


async def test_an_agent_that_works_in_silence_is_waited_for() -> None:
    async with fake_claude() as fake, provider_for(fake, provider_idle_seconds=0.5) as provider:
        is_complete(await answer(provider, ask("[[silence=1.5]]")), fake)


async def test_an_upstream_that_is_not_there_at_all_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webedt.providers.claude.BEGIN_SECONDS", 0.5)
    monkeypatch.setattr("webedt.providers.claude_conversation.BEGIN_SECONDS", 0.5)
    async with fake_claude() as fake, provider_for(fake, provider_max_retries=0) as provider:
        first = await answer(provider, ask())
        await fake.refuse_connections()
        fake.abort_connections()
        for state in (None, first.state):
            with pytest.raises(ProviderError) as caught:
                await answer(provider, ask(state=state))
            assert (caught.value.code, caught.value.retryable) == ("provider_unavailable", True)
        await fake.listen()
        await answer(provider, ask(state=first.state))


async def test_an_upstream_that_stays_away_is_given_up() -> None:
    async with fake_claude() as fake, provider_for(fake, provider_idle_seconds=0.5) as provider:
        fake.fail("list", "status", status=503, count=1000)
        fake.fail("stream", "cut", after=2, count=1000)
        with pytest.raises(ProviderError) as caught:
            await answer(provider, ask("[[silence=9]]"))
        assert (caught.value.code, caught.value.retryable) == ("provider_unavailable", True)
        assert provider.breaker.failures > 0


@pytest.mark.parametrize("endpoint", ["create", "send", "stream"])
async def test_a_refused_key_is_said_at_once(endpoint: str) -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        fake.fail(endpoint, "status", status=401, message="sk-secret is not a key", count=99)
        with pytest.raises(ProviderError) as caught:
            await answer(provider, ask())
        assert (caught.value.code, caught.value.retryable) == ("provider_unauthorized", False)
        assert "sk-secret" not in str(caught.value)


async def test_a_remote_session_that_is_gone_is_forgotten_and_the_next_prompt_has_a_new_one() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        first = await answer(provider, ask())
        [session] = list(fake.sessions.values())
        await fake.remove(session)
        with pytest.raises(ProviderError) as caught:
            await answer(provider, ask(state=first.state))
        assert (caught.value.code, caught.value.state) == ("remote_session_gone", {})
        is_complete(await answer(provider, ask(state=caught.value.state)), fake)


async def test_a_session_deleted_in_the_middle_ends_the_run() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        asking = asyncio.ensure_future(answer(provider, ask("[[gate=never]]")))
        await eventually(lambda: fake.sessions, "a remote session")
        [session] = fake.sessions.values()
        await fake.logged(session.id, "agent.message")
        await fake.remove(session)
        with pytest.raises(ProviderError) as caught:
            await asking
        assert (caught.value.code, caught.value.state) == ("remote_session_gone", {})


@pytest.mark.parametrize(
    ("script", "code", "retryable", "keeps"),
    [
        ("[[error=exhausted]]", "provider_overloaded", True, True),
        ("[[error=terminal]]", "provider_overloaded", False, False),
        ("[[error=terminal error_type=billing_error]]", "provider_billing", False, False),
    ],
)
async def test_an_agent_that_fails_ends_the_run_in_words_of_ours(
    script: str, code: str, retryable: bool, keeps: bool
) -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError) as caught:
            await answer(provider, ask(script))
        assert (caught.value.code, caught.value.retryable) == (code, retryable)
        assert caught.value.state is not None
        assert bool(caught.value.state) is keeps  # a terminated session takes no more prompts
        await answer(provider, ask(state=caught.value.state))


async def test_what_the_agent_recovers_from_is_not_the_end() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        said = await answer(provider, ask("[[retrying=2 reschedule=1 fail=1]]"))
        assert said.items[-1] == Completed("end_turn")
        assert len(said.texts) == 2


async def test_a_refusal_is_a_stop_reason() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        assert (await answer(provider, ask("[[refusal=1]]"))).items[-1] == Completed("refusal")


@pytest.mark.parametrize(("confirm", "result"), [(False, "deny"), (True, "allow")])
async def test_what_the_agent_asks_of_a_person_is_answered_for_them(confirm: bool, result: str) -> None:
    async with fake_claude() as fake, provider_for(fake, claude_confirm_tools=confirm) as provider:
        said = await answer(provider, ask("[[ask=2 custom=1]]"))
        assert said.items[-1] == Completed("end_turn")
        [session_id] = fake.sessions
        log = fake.log(session_id)
        assert [one["result"] for one in log if one["type"] == "user.tool_confirmation"] == [result, result]
        assert [one["is_error"] for one in log if one["type"] == "user.custom_tool_result"] == [True]
        asked = {item.tool_use_id for item in said.items if isinstance(item, ToolUse)}
        assert asked == {item.tool_use_id for item in said.items if isinstance(item, ToolResult)}


async def test_a_question_is_answered_by_the_successor_of_who_was_killed_over_it() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        request = ask("[[messages=1 tools=0 thinking=0 deltas=1 ask=1]]")
        fake.fail("send", "hang", skip=1)  # the answer to the question
        before = Answer()

        async def until_killed() -> None:
            async for step in provider.run(request, None):
                before.take(step)

        killed = asyncio.ensure_future(until_killed())
        await eventually(lambda: fake.sessions, "a remote session")
        [session_id] = fake.sessions
        await fake.logged(session_id, "user.tool_confirmation")
        killed.cancel()
        await asyncio.wait({killed})
        recovered = ask(state=before.state, run_id=request.run_id, attempt=2, prompt=request.prompt)
        after = await answer(provider, recovered, before.checkpoint)
        assert after.items[-1] == Completed("end_turn")


async def test_a_turn_left_in_the_middle_is_stopped_before_the_next_prompt_and_not_taken_for_its_answer() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        left = await answer(provider, ask("[[messages=400 rate=100]]"), steps=4)
        said = await answer(provider, ask("[[messages=1]]", left.state))
        assert fake.arrived["user.interrupt"] == 1
        assert [text.split(",")[0] for text in said.texts] == ["Turn 2"]
        assert said.state is not None
        assert (said.state["turn"], said.state["prompts"]) == ("closed", 2)


async def test_an_agent_left_waiting_for_a_person_takes_the_next_prompt() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        fake.fail("send", "status", skip=1, count=99, status=503)  # the answer to its question
        asking = asyncio.ensure_future(answer(provider, request := ask("[[ask=1]]")))
        await eventually(lambda: fake.requests and fake.requests[-1].fault == "status", "the question is not answered")
        asking.cancel()
        await asyncio.wait({asking})
        fake.faults.clear()
        [session_id] = fake.sessions
        state = {"session": session_id, "turn": "open", "run": str(request.run_id), "prompts": 0, "position": {}}
        said = await answer(provider, ask("[[messages=1]]", state))
        assert [text.split(",")[0] for text in said.texts] == ["Turn 2"]


@pytest.mark.parametrize("stamp", ["after_running", "turn_end"])
async def test_it_does_not_matter_when_the_prompt_is_stamped(stamp: str) -> None:
    async with fake_claude(stamp_prompt=stamp) as fake, provider_for(fake) as provider:
        first = await answer(provider, ask("[[messages=2]]"))
        second = await answer(provider, ask("[[messages=2]]", first.state))
        [session_id] = fake.sessions
        ours = [item for item in [*first.whole, *second.whole] if not isinstance(item, Completed)]
        assert ours == remote_items(fake.log(session_id))


async def test_two_users_never_share_a_key_or_a_client() -> None:
    """A hundred at once, each with a workspace of their own: another's session would be a 404."""
    users = {f"sk-user-{n}": f"workspace-{n}" for n in range(100)}
    async with fake_claude(keys=users) as fake, provider_for(fake) as provider:

        async def one(key: str) -> None:
            first = await answer(provider, ask(f"I am {key} [[messages=1]]", api_key=Secret(key)))
            await answer(provider, ask(f"Still {key} [[messages=1]]", first.state, api_key=Secret(key)))

        await asyncio.gather(*(one(key) for key in users))
        owners = {session.workspace: fake.log(session.id) for session in fake.sessions.values()}
        assert len(owners) == 100
        for key, workspace in users.items():
            prompts = [one["content"][0]["text"] for one in owners[workspace] if one["type"] == "user.message"]
            assert prompts == [f"I am {key} [[messages=1]]", f"Still {key} [[messages=1]]"]
    assert fake.streams == 0


@pytest.mark.parametrize(("endpoint", "arrives"), [("create", "create"), ("send", "user.message")])
async def test_cancelled_it_does_not_leave_in_doubt_what_it_has_asked_for(endpoint: str, arrives: str) -> None:
    """A successor would count the prompts before this one has arrived, and send it once more."""
    async with fake_claude() as fake, provider_for(fake) as provider:
        fake.fail(endpoint, "slow", seconds=0.2)
        asking = asyncio.ensure_future(answer(provider, ask()))
        await eventually(lambda: fake.requests and fake.requests[-1].endpoint == endpoint, "it has asked")
        asking.cancel()
        await asyncio.wait({asking}, timeout=0.5)
        assert asking.done()
        assert fake.arrived[arrives] == 1


@pytest.mark.parametrize("endpoint", ["create", "send", "stream", "list", "list_sessions"])
async def test_cancelled_while_nobody_answers_it_leaves_no_connection_behind(endpoint: str) -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        fake.fail(endpoint, "stall_headers", count=9)
        state = {"session": "sesn_other", "turn": "open", "run": "other"} if endpoint == "list" else None
        asking = asyncio.ensure_future(answer(provider, ask(attempt=2, state=state)))
        await eventually(lambda: fake.requests and fake.requests[-1].endpoint == endpoint, "it has asked")
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        assert asking.done()
        await eventually(lambda: not fake.connections, "no connection")


async def test_cancelled_it_lets_go_of_the_upstream_at_once() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        asking = asyncio.ensure_future(answer(provider, ask("[[gate=never]]")))
        await eventually(lambda: fake.streams, "a stream")
        asking.cancel()
        await asyncio.wait({asking})
        await eventually(lambda: not fake.streams, "no stream")


async def test_without_a_key_it_says_which_is_missing() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY"):
            await answer(provider, ask(api_key=None))


@pytest.mark.parametrize("how", ["terminated", "archived"])
async def test_a_remote_session_that_ended_between_two_prompts_is_forgotten(how: str) -> None:
    """It is still there and refuses every prompt; nobody was told of its end."""
    async with fake_claude(archive_terminates=False) as fake, provider_for(fake) as provider:
        first = await answer(provider, ask())
        [session_id] = fake.sessions
        if how == "terminated":
            fake.agents_at_work[session_id].terminate()
        else:
            await provider.archive(first.state or {}, Secret("sk-secret"))
        with pytest.raises(ProviderError) as caught:
            await answer(provider, ask(state=first.state))
        assert (caught.value.code, caught.value.state) == ("remote_session_gone", {})


async def test_what_an_interrupted_turn_has_cost_is_said_once() -> None:
    working = [{"do": "message"}, {"do": "tool"}, {"do": "usage"}, {"do": "message"}, {"do": "gate", "name": "never"}]
    async with fake_claude(script=working) as fake, provider_for(fake) as provider:
        before, request = Answer(), ask()

        async def until_interrupted() -> None:
            async for step in provider.run(request, None):
                before.take(step)

        asking = asyncio.ensure_future(until_interrupted())
        await eventually(lambda: any(isinstance(item, Usage) and item.cost_usd for item in before.items), "a cost")
        asking.cancel()
        await asyncio.wait({asking})
        after = await answer(provider, ask("[[messages=1]]", before.state))
        [session_id] = fake.sessions
        [*_, last] = [one for one in fake.log(session_id) if one["type"] == "session.usage"]
        costs = [item.cost_usd or 0 for item in [*before.items, *after.items] if isinstance(item, Usage)]
        assert round(100 * sum(costs)) == int(last["usage"]["list_cost"]["amount"])


async def test_who_lost_the_run_writes_nothing_there() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        asked = 0

        async def still_ours() -> None:
            nonlocal asked
            asked += 1
            if asked == 2:  # the session is made, the prompt not sent
                raise StaleFence("somebody else's")

        with pytest.raises(StaleFence):
            await answer(provider, ask(still_ours=still_ours))
        assert (fake.arrived["create"], fake.arrived["user.message"]) == (1, 0)


async def test_what_ends_nothing_of_a_session_that_is_known_to_be_gone() -> None:
    async with fake_claude() as fake, provider_for(fake) as provider:
        key = Secret("sk-secret")
        assert await provider.look({"provider": "claude"}, key) == "gone"
        await provider.interrupt({"provider": "claude"}, key)
        await provider.archive({"provider": "claude"}, key)
        assert fake.requests == []
