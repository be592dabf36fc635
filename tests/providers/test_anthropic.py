"""The anthropic provider, through the official SDK, against its own protocol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.support.anthropic_fake import FakeAnthropic, block, end, error, fake_anthropic, frame, start, text
from tests.support.fleet import eventually
from tests.support.ports import free_port
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
    ToolResult,
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


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("overloaded_error", "provider_overloaded", True),
        ("rate_limit_error", "provider_rate_limited", True),
        ("api_error", "provider_unavailable", True),
        ("invalid_request_error", "provider_refused", False),
        ("an_error_of_tomorrow", "provider_unavailable", True),
    ],
)
async def test_an_error_event_in_the_stream_means_what_its_status_would_have(
    kind: str, code: str, retryable: bool
) -> None:
    async with fake_anthropic([start(), *text(0, "Hel")[:2], error(kind)]) as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError) as failed:
            await answer(provider, ask())
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert "sk-secret" not in failed.value.message
    assert len(fake.requests) == 1, "what has begun is not asked for again"


async def test_what_was_said_before_an_error_is_heard_even_if_both_come_together() -> None:
    together = b"".join(map(frame, [start(), *text(0, "Hel")[:2], error("overloaded_error")]))
    heard: list[Item] = []
    async with fake_anthropic([together]) as fake, provider_for(fake) as provider:
        with pytest.raises(ProviderError):
            async for step in provider.run(ask(), None):
                heard += step.items
    assert [item.text for item in heard if isinstance(item, TextDelta)] == ["Hel"]


async def test_an_answer_may_come_byte_by_byte() -> None:
    whole = b"".join(map(frame, [start(), *text(0, "Grün", " \U0001f331\r\n"), *end()])).replace(b"\n\n", b"\r\n\r\n")
    async with fake_anthropic([bytes([byte]) for byte in whole]) as fake, provider_for(fake) as provider:
        items = await answer(provider, ask())
    assert [item.text for item in items if isinstance(item, TextDelta)] == ["Grün", " \U0001f331\r\n"]


async def test_what_is_not_known_is_let_through_or_passed_over() -> None:
    novelty = {"type": "hologram", "beam": [1, 2], "nothing": None}
    unknown = [
        {"type": "ping"},
        {"type": "fanfare", "delta": "not an object", "index": "three"},
        *block(0, novelty, [{"type": "beam_delta", "beam": 3}]),
    ]
    async with fake_anthropic([start(), *unknown, *text(1, "ok"), *end()]) as fake:
        async with provider_for(fake) as provider:
            items = await answer(provider, ask())
    done = next(item for item in items if isinstance(item, MessageDone))
    assert done.content == [{"type": "hologram", "beam": [1, 2]}, {"type": "text", "text": "ok"}]


@pytest.mark.parametrize(
    "garbage",
    [
        b'data: {"type": "content_block_delta", \n\n',
        b"data: [1, 2]\n\n",
        b'data: {"type": "content_block_delta", "index": "zero", "delta": {}}\n\n',
        b'data: {"type": "content_block_delta", "index": 0}\n\n',
        frame({"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "whose?"}}),
        frame({"type": "content_block_stop", "index": 7}),
        frame({"type": "content_block_start", "index": 1, "content_block": {}}),
        b"data: \xff\xfe\n\n",
    ],
)
async def test_what_cannot_be_read_fails_the_run_and_is_not_quoted(garbage: bytes) -> None:
    async with fake_anthropic([start(), *text(0, "Hel")[:2], garbage, *end()]) as fake:
        async with provider_for(fake) as provider:
            with pytest.raises(ProviderError) as failed:
                await answer(provider, ask())
    assert (failed.value.code, failed.value.retryable) == ("provider_malformed", True)


async def test_web_search_is_passed_through_with_its_results_and_citations() -> None:
    results = [{"type": "web_search_result", "url": "https://example.com", "title": "T", "encrypted_content": "e"}]
    failed = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": results}
    citation = {"type": "web_search_result_location", "url": "https://example.com"}
    said = [{"type": "citations_delta", "citation": citation}, {"type": "text_delta", "text": "So."}]
    events = [
        *block(0, use, [{"type": "input_json_delta", "partial_json": '{"query": "x"}'}]),
        *block(1, found),
        *block(2, {**found, "content": failed}),
        *block(3, {"type": "text", "text": "", "citations": []}, said),
    ]
    async with fake_anthropic([start(), *events, *end()]) as fake, provider_for(fake) as provider:
        request = ask()
        items = await answer(provider, request)
    message_id = f"msg_{request.run_id.hex}_2"
    content = [
        {**use, "input": {"query": "x"}},
        found,
        {**found, "content": failed},
        {"type": "text", "text": "So.", "citations": [citation]},
    ]
    assert items[:5] == [
        ToolUse(message_id, "srvtoolu_1", "web_search", {"query": "x"}),
        ToolResult("srvtoolu_1", results),
        ToolResult("srvtoolu_1", failed, is_error=True),
        TextDelta(message_id, "So."),
        MessageDone(message_id, content),
    ]


async def test_redacted_thinking_is_kept_for_who_can_read_it() -> None:
    redacted = {"type": "redacted_thinking", "data": "sealed"}
    async with fake_anthropic([start(), *block(0, redacted), *text(1, "ok"), *end()]) as fake:
        async with provider_for(fake) as provider:
            items = await answer(provider, ask())
    done = next(item for item in items if isinstance(item, MessageDone))
    assert done.content == [redacted, {"type": "text", "text": "ok"}]


async def test_a_tool_call_cut_off_by_max_tokens_is_kept_as_far_as_it_came() -> None:
    cut = block(
        0,
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        [{"type": "input_json_delta", "partial_json": '{"q": "hal'}],
    )
    async with fake_anthropic([start(), *cut, *end("max_tokens")]) as fake, provider_for(fake) as provider:
        items = await answer(provider, ask())
    assert isinstance(items[0], ToolUse)
    assert items[0].input == {"INVALID_JSON": '{"q": "hal'}
    assert items[-1] == Completed("max_tokens")


async def test_a_refusal_without_a_word_is_a_completed_run_that_says_so() -> None:
    async with fake_anthropic([start(), *end("refusal")]) as fake, provider_for(fake) as provider:
        assert await answer(provider, ask()) == [Usage(11, 7), Completed("refusal")]


async def test_what_came_from_the_prompt_cache_or_went_there_counts_as_input() -> None:
    cached = start(cache_read_input_tokens=1000, cache_creation_input_tokens=100)
    async with fake_anthropic([cached, *text(0, "ok"), *end()]) as fake, provider_for(fake) as provider:
        items = await answer(provider, ask())
    assert items[-2] == Usage(1111, 7)


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


async def test_a_ping_is_not_an_answer() -> None:
    pings = [start(), *[item for _ in range(100) for item in ({"type": "ping"}, 0.05)]]
    async with (
        fake_anthropic(pings) as fake,
        provider_for(fake, provider_first_token_seconds=0.3) as provider,
    ):
        with pytest.raises(ProviderError, match="No answer began"):
            await answer(provider, ask())


async def test_a_ping_in_the_answer_shows_life() -> None:
    pings = [item for _ in range(10) for item in ({"type": "ping"}, 0.1)]
    async with (
        fake_anthropic([start(), *text(0, "Hel")[:2], *pings, *text(0, "lo")[1:], *end()]) as fake,
        provider_for(fake, provider_idle_seconds=0.5) as provider,
    ):
        assert (await answer(provider, ask()))[-1] == Completed("end_turn")


async def test_the_time_that_our_own_log_takes_is_not_the_upstreams() -> None:
    late = [start(), *text(0, "Hel")[:2], 0.8, *text(0, "lo")[1:], *end()]
    async with (
        fake_anthropic(late) as fake,
        provider_for(fake, provider_idle_seconds=0.4, provider_first_token_seconds=0.4) as provider,
    ):
        items: list[Item] = []
        async for step in provider.run(ask(), None):
            items += step.items
            await asyncio.sleep(0.5)
    assert items[-1] == Completed("end_turn")


@pytest.mark.parametrize(
    "waiting", [[start(), *text(0, "Hel")[:2], 30.0], [start(), 30.0], [30.0]], ids=["answer", "first token", "start"]
)
async def test_a_cancelled_run_closes_the_connection_at_once(waiting: list[Any]) -> None:
    async with fake_anthropic(waiting) as fake, provider_for(fake) as provider:
        running = asyncio.create_task(answer(provider, ask()))
        await eventually(lambda: fake.requests, "the request")
        await asyncio.sleep(0.1)
        running.cancel()
        async with asyncio.timeout(1):
            await fake.closed.wait()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_run_cancelled_between_two_retries_asks_no_more() -> None:
    async with fake_anthropic((529, {"retry-after-ms": "300"})) as fake, provider_for(fake) as provider:
        running = asyncio.create_task(answer(provider, ask()))
        await eventually(lambda: fake.requests, "the request")
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.sleep(0.5)
        assert len(fake.requests) == 1
        assert running.cancelled()


async def test_whoever_stops_listening_closes_the_connection_upstream() -> None:
    async with fake_anthropic([start(), *text(0, "Hel")[:2], 30.0]) as fake, provider_for(fake) as provider:
        async with aclosing(provider.run(ask(), None)) as steps:
            await anext(steps)
        async with asyncio.timeout(1):
            await fake.closed.wait()


@pytest.mark.parametrize("ending", [end(), [], [error("api_error")]], ids=["completed", "cut off", "failed"])
async def test_no_connection_outlives_its_run(ending: list[Any]) -> None:
    async with fake_anthropic([start(), *text(0, "ok"), *ending]) as fake, provider_for(fake) as provider:
        with contextlib.suppress(ProviderError):
            await answer(provider, ask())
        await eventually(lambda: all(one.is_closing() for one in fake.transports), "closed connections", 1)
        assert fake.transports


async def test_nobody_there_is_said_as_such() -> None:
    fake = FakeAnthropic(url=f"http://127.0.0.1:{free_port()}")
    async with provider_for(fake) as provider:
        with pytest.raises(ProviderError) as failed:
            await answer(provider, ask())
        assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)
        assert provider.breaker.failures == 1


async def test_the_breaker_hears_of_failures_and_a_refusal_is_an_answer() -> None:
    failing = [(529, {"retry-after-ms": "1"})] * 3
    async with fake_anthropic(*failing, [start(), 5.0], (401, {}), [start(), *text(0, "ok"), *end()]) as fake:
        async with provider_for(fake, provider_first_token_seconds=0.3) as provider:
            heard = []
            for _ in range(4):
                with contextlib.suppress(ProviderError):
                    await answer(provider, ask())
                heard.append(provider.breaker.failures)
    assert heard == [1, 2, 0, 0]


async def test_an_open_breaker_refuses_no_run() -> None:
    async with fake_anthropic([start(), *text(0, "ok"), *end()]) as fake, provider_for(fake) as provider:
        for _ in range(10):
            provider.breaker.failed()
        assert provider.breaker.state == "open"
        await answer(provider, ask())
        assert provider.breaker.state == "closed"


async def test_a_redirect_is_not_followed() -> None:
    async with fake_anthropic([start(), *text(0, "ok"), *end()]) as other:
        async with fake_anthropic((307, {"Location": f"{other.url}/v1/messages"})) as fake:
            async with provider_for(fake) as provider:
                with pytest.raises(ProviderError):
                    await answer(provider, ask())
    assert other.requests == []


async def test_a_retry_waits_as_long_as_it_was_told() -> None:
    async with fake_anthropic((429, {"retry-after": "1"}), [start(), *text(0, "ok"), *end()]) as fake:
        async with provider_for(fake) as provider:
            await answer(provider, ask())
    assert fake.times[1] - fake.times[0] >= 1


async def test_after_a_run_without_an_answer_both_prompts_are_one_turn() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    history = [Turn("user", [{"type": "text", "text": "first"}, {"type": "text", "text": ""}])]
    request = msgspec.structs.replace(ask("second", history), prompt=[image, {"type": "text", "text": "second"}])
    async with fake_anthropic([start(), *text(0, "ok"), *end()]) as fake, provider_for(fake) as provider:
        await answer(provider, request)
    content = [{"type": "text", "text": "first"}, image, {"type": "text", "text": "second"}]
    assert fake.requests[0]["messages"] == [{"role": "user", "content": content}]


async def test_history_is_sent_from_the_newest_back_and_begins_with_a_user() -> None:
    history = [
        Turn("user", [{"type": "text", "text": "first " + "x" * 500}]),
        Turn("assistant", [{"type": "text", "text": "one"}]),
        Turn("user", [{"type": "text", "text": "second"}]),
        Turn("assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "two"}]),
    ]
    async with fake_anthropic([start(), *text(0, "ok"), *end()]) as fake:
        async with provider_for(fake, provider_history_tokens=10) as provider:
            await answer(provider, ask("third", history))
    assert fake.requests[0]["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": [{"type": "text", "text": "third"}]},
    ]
