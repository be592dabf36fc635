"""The anthropic provider, through the official SDK, against its own protocol."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.support.anthropic_fake import FakeAnthropic, block, end, fake_anthropic, start, text
from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.providers.anthropic import AnthropicProvider
from webedt.providers.interface import (
    Completed,
    Item,
    MessageDone,
    ProviderError,
    RunRequest,
    TextDelta,
    ThinkingDelta,
    ToolUse,
    Turn,
    Usage,
)


@asynccontextmanager
async def provider_for(fake: FakeAnthropic, **settings: Any) -> AsyncIterator[AnthropicProvider]:
    provider = AnthropicProvider(
        Settings(anthropic_api_key="sk-secret", anthropic_base_url=fake.url, provider_max_retries=2, **settings)
    )
    await provider.initialize()
    try:
        yield provider
    finally:
        await provider.dispose()


def ask(said: str = "Hello", history: Sequence[Turn] = ()) -> RunRequest:
    return RunRequest(
        run_id=uuid4(),
        session_id=uuid4(),
        user_id=uuid4(),
        attempt=2,
        model=None,
        prompt=[{"type": "text", "text": said}],
        history=history,
        api_key=Secret("sk-secret"),
    )


async def answer(provider: AnthropicProvider, request: RunRequest) -> list[Item]:
    return [item async for step in provider.run(request, None) for item in step.items]


async def test_text_comes_as_deltas_and_then_as_one_message_with_usage_and_stop_reason() -> None:
    async with fake_anthropic([start(), *text(0, "Hel", "lo."), *end("max_tokens")]) as fake:
        async with provider_for(fake) as provider:
            request = ask()
            items = await answer(provider, request)
    message_id = f"msg_{request.run_id.hex}_2"
    assert items == [
        TextDelta(message_id, "Hel"),
        TextDelta(message_id, "lo."),
        MessageDone(message_id, [{"type": "text", "text": "Hello."}]),
        Usage(11, 7),
        Completed("max_tokens"),
    ]
    assert fake.headers[0]["Authorization"] == "Bearer sk-secret"
    assert fake.requests[0]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


async def test_thinking_and_tool_use_are_passed_through() -> None:
    thinking = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "sig"}],
    )
    tool = block(
        1,
        {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}},
        [{"type": "input_json_delta", "partial_json": '{"q": '}, {"type": "input_json_delta", "partial_json": '"x"}'}],
    )
    async with fake_anthropic([start(), *thinking, *tool, *end("tool_use")]) as fake:
        async with provider_for(fake) as provider:
            items = await answer(provider, ask())
    kinds = [type(item) for item in items]
    assert kinds == [ThinkingDelta, ToolUse, MessageDone, Usage, Completed]
    tool_use, done = items[1], items[2]
    assert isinstance(tool_use, ToolUse)
    assert (tool_use.tool_use_id, tool_use.name, tool_use.input) == ("toolu_1", "search", {"q": "x"})
    assert isinstance(done, MessageDone)
    assert done.content[0]["thinking"] == "Hm."
    assert done.content[0]["signature"] == "sig"
    assert done.content[1]["input"] == {"q": "x"}


async def test_a_refused_request_is_repeated_and_a_retry_after_is_honoured() -> None:
    refusal = (529, {"retry-after-ms": "10"})
    async with fake_anthropic(refusal, (429, {"retry-after-ms": "10"}), [start(), *text(0, "ok"), *end()]) as fake:
        async with provider_for(fake) as provider:
            items = await answer(provider, ask())
    assert items[-1] == Completed("end_turn")
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (401, "provider_unauthorized", False),
        (404, "provider_not_found", False),
        (400, "provider_refused", False),
        (429, "provider_rate_limited", True),
        (529, "provider_overloaded", True),
        (500, "provider_unavailable", True),
    ],
)
async def test_a_refusal_for_good_has_a_code_and_a_message_without_secrets(
    status: int, code: str, retryable: bool
) -> None:
    async with fake_anthropic((status, {"retry-after-ms": "1"})) as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError) as refused:
            await answer(provider, ask())
    assert (refused.value.code, refused.value.retryable) == (code, retryable)
    assert "sk-secret" not in refused.value.message


async def test_an_answer_cut_off_in_the_middle_fails_and_may_be_tried_again() -> None:
    async with fake_anthropic([start(), *text(0, "Hel")[:2], "cut"]) as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError) as cut:
            await answer(provider, ask())
    assert cut.value.retryable


async def test_an_answer_that_ends_without_its_end_fails() -> None:
    async with fake_anthropic([start(), *text(0, "Hel")]) as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError) as ended:
            await answer(provider, ask())
    assert ended.value.code == "provider_disconnected"


async def test_an_error_event_in_the_stream_fails_the_run() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    async with fake_anthropic([start(), *text(0, "Hel")[:2], error]) as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError):
            await answer(provider, ask())


async def test_silence_before_the_first_token_has_a_deadline() -> None:
    async with (
        fake_anthropic([start(), 30.0]) as fake,
        provider_for(fake, provider_first_token_seconds=0.2) as provider,
    ):
        with pytest.raises(ProviderError, match="No answer began") as late:
            await answer(provider, ask())
    assert late.value.code == "provider_timeout"


async def test_silence_in_the_answer_has_a_deadline() -> None:
    silent = [start(), *text(0, "Hel")[:2], 30.0]
    async with fake_anthropic(silent) as fake, provider_for(fake, provider_idle_seconds=0.2) as provider:
        with pytest.raises(ProviderError, match="The answer stopped"):
            await answer(provider, ask())


async def test_whoever_stops_listening_closes_the_connection_upstream() -> None:
    async with fake_anthropic([start(), *text(0, "Hel")[:2], 30.0]) as fake, provider_for(fake) as provider:
        async with aclosing(provider.run(ask(), None)) as steps:
            await anext(steps)
        async with asyncio.timeout(5):
            await fake.closed.wait()


async def test_history_is_sent_from_the_newest_back_and_begins_with_a_user() -> None:
    history = [
        Turn("user", [{"type": "text", "text": "first " + "x" * 500}]),
        Turn("assistant", [{"type": "text", "text": "one"}]),
        Turn("user", [{"type": "text", "text": "second"}]),
        Turn("assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "two"}]),
    ]
    async with fake_anthropic([start(), *text(0, "ok"), *end()]) as fake:
        async with provider_for(fake, provider_history_tokens=75) as provider:
            await answer(provider, ask("third", history))
    assert fake.requests[0]["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": [{"type": "text", "text": "third"}]},
    ]


async def test_without_a_key_it_says_why_it_cannot_answer() -> None:
    provider = AnthropicProvider(Settings())
    await provider.initialize()
    assert "ANTHROPIC_API_KEY" in (provider.key_needed or "")
    await provider.dispose()
