"""The openai provider against an endpoint that speaks its protocol, and against one that does not quite."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from tests.support.openai_fake import (
    CUT,
    DONE,
    Echo,
    FakeOpenAI,
    Finish,
    Refusal,
    Usage,
    answer,
    fake_openai,
    frame,
    key_hash,
    tool_call,
)
from tests.support.waiting import eventually
from webedt.client.sse import SSEParser
from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.providers import interface
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
)
from webedt.providers.openai import OpenAIProvider
from webedt.providers.openai_answer import Answer

KEY = "sk-secret"
SOON = {"retry-after-ms": "5"}


def provider_for(fake: FakeOpenAI, **settings: Any) -> OpenAIProvider:
    usual: dict[str, Any] = {"openai_base_url": fake.url, "openai_model": "fake-1", "provider_max_retries": 2}
    return OpenAIProvider(Settings(**{**usual, **settings}))


def ask(said: str = "Hello", *, key: str | None = KEY, **more: Any) -> RunRequest:
    usual: dict[str, Any] = {"attempt": 2, "model": None, "prompt": [{"type": "text", "text": said}]}
    ids: dict[str, Any] = {"run_id": uuid4(), "session_id": uuid4(), "user_id": uuid4()}
    return RunRequest(**{**ids, **usual, **more}, api_key=Secret(key) if key else None)


async def items_of(provider: OpenAIProvider, request: RunRequest | None = None) -> list[Item]:
    async with asyncio.timeout(20):
        return [item async for step in provider.run(request or ask(), None) for item in step.items]


async def failure_of(provider: OpenAIProvider, request: RunRequest | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await items_of(provider, request)
    assert KEY not in repr(vars(failed.value))
    return failed.value


def text_of(items: Sequence[Item]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


def only(items: Sequence[Item], kind: type[Any]) -> Any:
    [found] = [item for item in items if isinstance(item, kind)]
    return found


# What comes ----------------------------------------------------------------------------------------------------------


async def test_text_comes_as_deltas_and_then_as_one_message_with_usage_and_stop_reason() -> None:
    async with fake_openai(answer("Hel", "lo.", finish="length")) as fake:
        request = ask()
        items = await items_of(provider_for(fake), request)
    message_id = f"msg_{request.run_id.hex}_2"
    assert items == [
        TextDelta(message_id, "Hel"),
        TextDelta(message_id, "lo."),
        MessageDone(message_id, [{"type": "text", "text": "Hello."}]),
        interface.Usage(11, 7),
        Completed("max_tokens"),
    ]
    assert fake.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert fake.requests == [
        {
            "model": "fake-1",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("something_new", "end_turn"),
    ],
)
async def test_every_finish_reason_has_a_stop_reason(finish: str, stop_reason: str) -> None:
    async with fake_openai(answer("ok", finish=finish)) as fake:
        assert (await items_of(provider_for(fake)))[-1] == Completed(stop_reason)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_comes_as_thinking(name: str) -> None:
    async with fake_openai([{name: "Hm"}, {name: "m."}, *answer("ok")]) as fake:
        items = await items_of(provider_for(fake))
    assert [item.text for item in items if isinstance(item, ThinkingDelta)] == ["Hm", "m."]
    content = only(items, MessageDone).content
    assert content == [{"type": "thinking", "thinking": "Hmm."}, {"type": "text", "text": "ok"}]


async def test_tool_calls_are_put_together() -> None:
    calls = [*tool_call(0, "call_1", "search", '{"q": ', '"x"}'), *tool_call(1, "call_2", "now")]
    async with fake_openai(["So: ", *calls, Finish("tool_calls"), DONE]) as fake:
        items = await items_of(provider_for(fake))
    uses = [item for item in items if isinstance(item, ToolUse)]
    assert [(use.tool_use_id, use.name, use.input) for use in uses] == [
        ("call_1", "search", {"q": "x"}),
        ("call_2", "now", {}),
    ]
    assert only(items, MessageDone).content == [
        {"type": "text", "text": "So: "},
        {"type": "tool_use", "id": "call_1", "name": "search", "input": {"q": "x"}},
        {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
    ]
    assert items[-1] == Completed("tool_use")


@pytest.mark.parametrize("arguments", ['{"q": "x', "[1]"])
async def test_arguments_that_are_no_object_come_as_text(arguments: str) -> None:
    async with fake_openai([*tool_call(0, "call_1", "search", arguments), Finish("length"), DONE]) as fake:
        items = await items_of(provider_for(fake))
    assert only(items, ToolUse).input == {"arguments": arguments}


async def test_tool_calls_without_index_or_id_are_kept_apart() -> None:
    calls: list[Any] = [
        {"tool_calls": [{"id": "call_1", "function": {"name": "a", "arguments": {"n": 1}}}]},
        {"tool_calls": [{"id": "call_2", "function": {"name": "b", "arguments": "{}"}}]},
    ]
    nameless = {"tool_calls": [{"index": 5, "function": {"name": "c", "arguments": "{}"}}]}
    async with fake_openai([*calls, nameless, Finish("stop"), DONE]) as fake:
        items = await items_of(provider_for(fake))
    uses = [item for item in items if isinstance(item, ToolUse)]
    assert [(use.name, use.input) for use in uses] == [("a", {"n": 1}), ("b", {}), ("c", {})]
    assert len({use.tool_use_id for use in uses}) == 3
    assert items[-1] == Completed("tool_use")


async def test_a_refusal_of_the_model_is_its_answer() -> None:
    async with fake_openai([{"refusal": "I will not."}, Finish("stop"), DONE]) as fake:
        items = await items_of(provider_for(fake))
    assert text_of(items) == "I will not."
    assert items[-1] == Completed("refusal")


async def test_what_it_cost_is_passed_on() -> None:
    async with fake_openai(["ok", Finish(), Usage({"cost": 0.25}), DONE]) as fake:
        assert only(await items_of(provider_for(fake)), interface.Usage) == interface.Usage(11, 7, 0.25)


async def test_an_answer_that_was_not_streamed_is_an_answer() -> None:
    async with fake_openai(answer("Hel", "lo."), whole=True) as fake:
        items = await items_of(provider_for(fake))
    assert text_of(items) == "Hello."
    assert items[-1] == Completed("end_turn")
    assert only(items, interface.Usage) == interface.Usage(11, 7)


async def test_deltas_that_come_together_are_one_step() -> None:
    burst = b"".join(frame(f"{number} ") for number in range(50))
    async with fake_openai([burst, Finish(), DONE]) as fake:
        steps = [step async for step in provider_for(fake).run(ask(), None)]
    assert len(steps) <= 4
    assert sum(isinstance(item, TextDelta) for step in steps for item in step.items) == 50


# How it comes --------------------------------------------------------------------------------------------------------


def test_a_stream_means_the_same_wherever_it_is_cut_into_chunks() -> None:
    script = ["Grüße, 世界 🌍", {"reasoning": "h\u2028m"}, *tool_call(0, "call_1", "search", '{"q": "é"}'), Finish()]
    stream = b": OPENROUTER PROCESSING\r\n\r\n" + b"".join(map(frame, script)) + DONE

    def read(*chunks: bytes) -> list[Item]:
        taken, parser = Answer("it", "msg_1"), SSEParser()
        items = [item for chunk in chunks for item in taken.take(parser.feed(chunk))]
        assert taken.failure is None
        assert taken.done
        return items + taken.ending()

    whole = read(stream)
    assert text_of(whole) == "Grüße, 世界 🌍"
    for boundary in range(1, len(stream)):
        assert read(stream[:boundary], stream[boundary:]) == whole, boundary
    assert read(*(bytes([byte]) for byte in stream)) == whole


async def test_bytes_may_come_one_by_one() -> None:
    stream = b"".join(map(frame, ["Grü", "ße 🌍", Finish()])) + DONE
    async with fake_openai([bytes([byte]) for byte in stream]) as fake:
        assert text_of(await items_of(provider_for(fake))) == "Grüße 🌍"


async def test_half_a_surrogate_pair_does_not_end_the_run() -> None:
    halves = [
        b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % half for half in (b"\\ud83c", b"!")
    ]
    async with fake_openai([*halves, Finish(), DONE]) as fake:
        assert text_of(await items_of(provider_for(fake))) == "\ud83c!"


@pytest.mark.parametrize(
    "ending", [[Finish(), DONE], [Finish()], [Finish(), CUT], [Finish(), Usage()], [DONE], [Finish("stop"), 30.0]]
)
async def test_an_answer_is_complete_with_its_reason_or_its_end(ending: list[Any]) -> None:
    async with fake_openai(["ok", *ending]) as fake:
        items = await items_of(provider_for(fake, provider_idle_seconds=0.2))
    assert text_of(items) == "ok"
    assert items[-1] == Completed("end_turn")


@pytest.mark.parametrize("ending", [[], [CUT], [b"data: {"]])
async def test_an_answer_without_either_was_cut_off(ending: list[Any]) -> None:
    async with fake_openai(["Hel", *ending]) as fake:
        failed = await failure_of(provider_for(fake))
    assert (failed.code, failed.retryable) == ("provider_disconnected", True)


@pytest.mark.parametrize(
    ("said", "code", "retryable"),
    [
        (b'data: {"error": {"message": "sk-secret", "code": 502}}\n\n', "provider_unavailable", True),
        (b'data: {"error": {"message": "x", "code": "429"}}\n\n', "provider_rate_limited", True),
        (b'data: {"error": {"message": "x", "type": "overloaded_error"}}\n\n', "provider_overloaded", True),
        (b'data: {"error": {"code": "context_length_exceeded"}}\n\n', "provider_request_too_large", False),
        (b'data: {"error": "sk-secret"}\n\n', "provider_unavailable", True),
        (b'data: {"object": "error", "message": "x", "code": 400}\n\n', "provider_refused", False),
        (b'event: error\ndata: {"message": "x", "code": 401}\n\n', "provider_unauthorized", False),
        (b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}\n\n', "provider_unavailable", True),
        (b"data: <html>sk-secret</html>\n\n", "provider_malformed", True),
        (b'data: {"choices": "sk-secret"}\n\n', "provider_malformed", True),
        (b"data: [1, 2]\n\n", "provider_malformed", True),
        (b"data: " + b"[" * 100_000 + b"\n\n", "provider_malformed", True),
    ],
)
async def test_an_error_in_the_stream_fails_the_run_behind_what_was_said(
    said: bytes, code: str, retryable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Item] = []
    async with fake_openai([frame("Hel") + said, 30.0]) as fake:
        with pytest.raises(ProviderError) as failed:
            async for step in provider_for(fake).run(ask(), None):
                seen += step.items
    assert text_of(seen) == "Hel"
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert KEY not in failed.value.message
    assert KEY not in "".join(capsys.readouterr())


# What is sent --------------------------------------------------------------------------------------------------------


async def test_history_and_images_are_sent_in_turns() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    history = [
        Turn("user", [{"type": "text", "text": "first"}]),
        Turn("assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "one"}]),
        Turn("user", [{"type": "text", "text": "unanswered"}]),
    ]
    prompt = [{"type": "text", "text": "and this?"}, image]
    async with fake_openai(answer("ok")) as fake:
        await items_of(provider_for(fake), ask(history=history, prompt=prompt, model="other"))
    assert fake.requests[0]["model"] == "other"
    assert fake.requests[0]["messages"] == [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "unanswered"},
                {"type": "text", "text": "and this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ],
        },
    ]


async def test_history_stays_within_its_budget() -> None:
    history = [Turn("user", [{"type": "text", "text": "x" * 4000}]), Turn("assistant", [{"type": "text", "text": "y"}])]
    async with fake_openai(answer("ok")) as fake:
        await items_of(provider_for(fake, provider_history_tokens=100), ask("now", history=history))
    assert fake.requests[0]["messages"] == [{"role": "user", "content": "now"}]


async def test_a_large_prompt_is_sent_without_a_warning() -> None:
    async with fake_openai(answer("ok")) as fake:
        await items_of(provider_for(fake), ask("x" * 3_000_000))
    assert len(fake.requests[0]["messages"][0]["content"]) == 3_000_000


async def test_a_server_that_does_not_know_the_field_for_usage_is_asked_without_it_from_then_on() -> None:
    async with fake_openai(answer("ok"), knows_usage=False) as fake:
        provider = provider_for(fake, provider_max_retries=0)
        for _ in range(2):
            assert text_of(await items_of(provider)) == "ok"
    assert ["stream_options" in request for request in fake.requests] == [True, False, False]


async def test_a_request_that_is_refused_either_way_is_not_held_against_that_field() -> None:
    async with fake_openai(Refusal(400), Refusal(400), answer("ok")) as fake:
        provider = provider_for(fake)
        assert (await failure_of(provider)).code == "provider_refused"
        await items_of(provider)
    assert ["stream_options" in request for request in fake.requests] == [True, False, True]


# Keys ----------------------------------------------------------------------------------------------------------------


async def test_a_hundred_pairs_of_users_at_once_each_have_their_own_key_and_connection() -> None:
    keys = [f"sk-user-{number}" for number in range(200)]
    async with fake_openai([0.05, Echo(), 0.05, Finish(), DONE], keys=frozenset(keys)) as fake:
        provider = provider_for(fake, deployment_keys=True, openai_api_key="sk-deployment")
        answers = await asyncio.gather(*(items_of(provider, ask(key=key)) for key in keys))
    assert [text_of(items) for items in answers] == [key_hash(f"Bearer {key}") for key in keys]
    assert len(set(fake.peers)) == 200
    assert all("Cookie" not in headers for headers in fake.headers)


async def test_an_endpoint_of_ones_own_needs_no_key_and_is_sent_none() -> None:
    async with fake_openai(answer("ok")) as fake:
        provider = provider_for(fake)
        assert provider.key_needed is None
        assert provider.deployment_key is None
        await items_of(provider, ask(key=None))
    assert "Authorization" not in fake.headers[0]


async def test_openai_itself_needs_a_key_and_says_which() -> None:
    provider = OpenAIProvider(Settings(openai_model="m"))
    assert provider.takes_keys
    assert provider.unavailable_reason is None
    assert "OPENAI_API_KEY" in (provider.key_needed or "")
    failed = await failure_of(provider, ask(key=None))
    assert (failed.code, failed.message) == ("provider_not_configured", provider.key_needed)
    off = OpenAIProvider(Settings(openai_api_key=KEY, deployment_keys=False))
    assert off.deployment_key is None
    assert "your own" in (off.key_needed or "")
    on = OpenAIProvider(Settings(openai_api_key=KEY)).deployment_key
    assert on is not None
    assert on.reveal() == KEY


async def test_without_a_model_it_says_what_is_missing() -> None:
    async with fake_openai(answer("ok")) as fake:
        provider = provider_for(fake, openai_model="")
        assert provider.default_model() is None
        failed = await failure_of(provider)
        assert failed.code == "provider_model_missing"
        assert "OPENAI_MODEL" in failed.message
        assert text_of(await items_of(provider, ask(model="named"))) == "ok"


async def test_nothing_of_the_machine_gets_into_a_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with fake_openai(answer("ok")) as fake:
        await items_of(provider_for(fake), ask(key=None))
    assert "Authorization" not in fake.headers[0]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with fake_openai(answer("stolen")) as thief:
        async with fake_openai(Refusal(status, {"Location": f"{thief.url}/chat/completions"})) as fake:
            failed = await failure_of(provider_for(fake))
    assert failed.code == "provider_moved"
    assert (len(fake.requests), len(thief.requests)) == (1, 0)


# Refusals and deadlines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_a_refusal_that_may_pass_is_asked_again(status: int) -> None:
    async with fake_openai(Refusal(status, SOON), Refusal(status, SOON), answer("ok")) as fake:
        assert text_of(await items_of(provider_for(fake))) == "ok"
    assert len(fake.requests) == 3


async def test_retry_after_is_waited_for() -> None:
    async with fake_openai(Refusal(429, {"retry-after": "0.8"}), answer("ok")) as fake:
        began = time.monotonic()
        await items_of(provider_for(fake))
    assert 0.8 <= time.monotonic() - began < 3  # more than the first wait without it


async def test_who_is_to_wait_longer_than_the_deadline_is_told_at_once() -> None:
    async with fake_openai(Refusal(429, {"retry-after": "60"}), answer("ok")) as fake:
        failed = await failure_of(provider_for(fake, provider_first_token_seconds=5.0))
    assert failed.code == "provider_rate_limited"
    assert len(fake.requests) == 1


async def test_a_server_that_is_not_there_yet_is_asked_again(unused_tcp_port: int) -> None:
    settings = Settings(
        openai_base_url=f"http://127.0.0.1:{unused_tcp_port}/v1", openai_model="m", provider_max_retries=1
    )
    provider = OpenAIProvider(settings)
    began = time.monotonic()
    failed = await failure_of(provider)
    assert (failed.code, failed.retryable) == ("provider_unavailable", True)
    assert time.monotonic() - began >= 0.25
    assert provider.breaker.failures == 1


@pytest.mark.parametrize(
    ("refusal", "code", "retryable", "asked"),
    [
        (Refusal(400), "provider_refused", False, 2),
        (Refusal(400, code="context_length_exceeded"), "provider_request_too_large", False, 1),
        (Refusal(401), "provider_unauthorized", False, 1),
        (Refusal(402), "provider_billing", False, 1),
        (Refusal(403), "provider_forbidden", False, 1),
        (Refusal(404), "provider_not_found", False, 1),
        (Refusal(413), "provider_request_too_large", False, 1),
        (Refusal(422), "provider_refused", False, 2),
        (Refusal(429, SOON), "provider_rate_limited", True, 3),
        (Refusal(429, SOON, code="insufficient_quota"), "provider_billing", False, 1),
        (Refusal(500, SOON), "provider_unavailable", True, 3),
        (Refusal(529, SOON), "provider_overloaded", True, 3),
    ],
)
async def test_a_refusal_for_good_has_a_code_and_no_secret_gets_out(
    refusal: Refusal, code: str, retryable: bool, asked: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with fake_openai(refusal) as fake:
        provider = provider_for(fake)
        failed = await failure_of(provider)
    assert (failed.code, failed.retryable) == (code, retryable)
    assert len(fake.requests) == asked
    logged = "".join(capsys.readouterr())
    assert "provider_refused" in logged
    assert KEY not in failed.message + logged
    assert provider.breaker.failures == (1 if code in ("provider_unavailable", "provider_overloaded") else 0)


@pytest.mark.parametrize("silence", [[30.0], [{"role": "assistant"}, 30.0], [b": OPENROUTER PROCESSING\n\n", 0.1] * 50])
async def test_silence_before_the_first_token_has_a_deadline(silence: list[Any]) -> None:
    async with fake_openai(silence) as fake:
        provider = provider_for(fake, provider_first_token_seconds=0.3)
        failed = await failure_of(provider)
    assert failed.code == "provider_timeout"
    assert "No answer began" in failed.message
    assert provider.breaker.failures == 1


async def test_silence_in_the_answer_has_a_deadline() -> None:
    async with fake_openai(["Hel", 30.0]) as fake:
        failed = await failure_of(provider_for(fake, provider_idle_seconds=0.2))
    assert failed.code == "provider_timeout"
    assert "The answer stopped" in failed.message


async def test_comments_in_the_answer_are_signs_of_life() -> None:
    alive = [b": OPENROUTER PROCESSING\n\n", 0.1] * 6
    async with fake_openai([*alive, "Hel", *alive, "lo", Finish(), DONE]) as fake:
        assert text_of(await items_of(provider_for(fake, provider_idle_seconds=0.4))) == "Hello"


async def test_waiting_for_our_own_log_is_not_the_silence_of_the_upstream() -> None:
    async with fake_openai(["Hel", 0.01, "lo", Finish(), DONE]) as fake:
        provider = provider_for(fake, provider_first_token_seconds=0.3, provider_idle_seconds=0.2)
        items: list[Item] = []
        async for step in provider.run(ask(), None):
            items += step.items
            await asyncio.sleep(0.4)
    assert text_of(items) == "Hello"


# Letting go ----------------------------------------------------------------------------------------------------------


async def test_whoever_stops_listening_closes_the_connection_upstream() -> None:
    async with fake_openai(["Hel", 30.0]) as fake:
        async with aclosing(provider_for(fake).run(ask(), None)) as steps:
            await anext(steps)
        async with asyncio.timeout(1):
            await fake.closed.wait()


@pytest.mark.parametrize("script", [["Hel", 30.0], [30.0]])
async def test_a_run_that_is_cancelled_closes_the_connection_upstream_within_a_second(script: list[Any]) -> None:
    async with fake_openai(script) as fake:
        consuming = asyncio.create_task(items_of(provider_for(fake)))
        await eventually(lambda: fake.requests, "the request")
        await asyncio.sleep(0.05)
        consuming.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await consuming
            await fake.closed.wait()


async def test_an_answer_that_comes_after_failures_closes_the_breaker() -> None:
    async with fake_openai(*[Refusal(500)] * 5, answer("ok")) as fake:
        provider = provider_for(fake, provider_max_retries=0)
        for _ in range(5):
            await failure_of(provider)
        assert provider.breaker.state == "open"
        async with aclosing(provider.run(ask(), None)) as steps:
            async for step in steps:
                if any(isinstance(item, Completed) for item in step.items):
                    break  # as the driver does
    assert provider.breaker.state == "closed"
