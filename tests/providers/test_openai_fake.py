"""That the fake endpoint is faithful: the official SDK reads from it what it reads from the real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from tests.support.openai_fake import CUT, MODEL, FakeOpenAI, Finish, Refusal, answer, fake_openai, tool_call

PROMPT: Any = [{"role": "user", "content": "Hello"}]
WITH_USAGE: Any = {"include_usage": True}


@asynccontextmanager
async def sdk(fake: FakeOpenAI, key: str = "sk-test", **more: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.url, api_key=key, **{"max_retries": 0, **more}) as client:
        yield client


async def chunks(client: openai.AsyncOpenAI, **more: Any) -> list[Any]:
    stream = await client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True, **more)
    async with stream:
        return [chunk async for chunk in stream]


async def test_the_sdk_reads_a_stream_with_usage() -> None:
    async with fake_openai(answer("Hel", "lo.")) as fake, sdk(fake) as client:
        found = await chunks(client, stream_options=WITH_USAGE)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in found[:-1]) == "Hello."
    assert found[-2].choices[0].finish_reason == "stop"
    assert found[-1].choices == []
    assert (found[-1].usage.prompt_tokens, found[-1].usage.completion_tokens) == (11, 7)
    assert all(chunk.usage is None for chunk in found[:-1])
    assert fake.headers[0]["Authorization"] == "Bearer sk-test"


async def test_the_sdk_gets_no_usage_that_it_did_not_ask_for() -> None:
    async with fake_openai(answer("ok")) as fake, sdk(fake) as client:
        found = await chunks(client)
    assert all(chunk.usage is None and chunk.choices for chunk in found)


async def test_every_chunk_has_the_fields_that_the_sdk_promises() -> None:
    script = ["Hm.", *tool_call(0, "call_1", "search", '{"q": ', '"x"}'), *answer("ok")]
    async with fake_openai(script) as fake, sdk(fake) as client:
        for chunk in await chunks(client, stream_options=WITH_USAGE):
            # The SDK itself builds without a look at what it was given.
            type(chunk).model_validate(chunk.model_dump(), strict=True)


async def test_the_sdk_puts_tool_calls_together() -> None:
    script = [*tool_call(0, "call_1", "search", '{"q": ', '"x"}'), *tool_call(1, "call_2", "now"), Finish("tool_calls")]
    async with fake_openai(script) as fake, sdk(fake) as client:
        async with client.chat.completions.stream(model=MODEL, messages=PROMPT) as stream:
            choice = (await stream.get_final_completion()).choices[0]
    assert choice.finish_reason == "tool_calls"
    calls: list[Any] = choice.message.tool_calls or []
    found = [(call.id, call.function.name, call.function.arguments) for call in calls]
    assert found == [("call_1", "search", '{"q": "x"}'), ("call_2", "now", "")]


async def test_the_sdk_reads_an_answer_that_is_not_streamed() -> None:
    async with fake_openai(answer("Hel", "lo.")) as fake, sdk(fake) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=PROMPT)
    assert whole.choices[0].message.content == "Hello."
    assert whole.usage is not None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
async def test_the_sdk_understands_an_error_status(status: int, error: type[openai.APIStatusError]) -> None:
    async with fake_openai(Refusal(status, code="some_code")) as fake, sdk(fake) as client:
        with pytest.raises(error) as refused:
            await chunks(client)
    assert refused.value.code == "some_code"


async def test_the_sdk_waits_as_the_headers_say_and_asks_again() -> None:
    async with fake_openai(Refusal(429, {"retry-after-ms": "5"}), answer("ok")) as fake:
        async with sdk(fake, max_retries=1) as client:
            await chunks(client)
    assert len(fake.requests) == 2


async def test_the_sdk_understands_an_error_in_the_stream_and_a_cut() -> None:
    error = b'data: {"error": {"message": "no", "type": "server_error", "code": 502}}\n\n'
    async with fake_openai(["Hel", error], ["Hel", CUT]) as fake, sdk(fake) as client:
        with pytest.raises(openai.APIError):
            await chunks(client)
        with pytest.raises(openai.APIConnectionError):
            await chunks(client)


async def test_a_key_that_is_not_known_and_a_field_that_is_not_known_are_refused() -> None:
    async with fake_openai(answer("ok"), keys=frozenset({"sk-known"}), knows_usage=False) as fake:
        async with sdk(fake, "sk-other") as client:
            with pytest.raises(openai.AuthenticationError):
                await chunks(client)
        async with sdk(fake, "sk-known") as client:
            with pytest.raises(openai.BadRequestError, match="stream_options"):
                await chunks(client, stream_options=WITH_USAGE)
            assert await chunks(client)
