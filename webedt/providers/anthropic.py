"""The Messages API of Anthropic, streaming, through the official SDK.

Not resumable: after a take-over the run is asked again from its prompt. The SDK repeats refused requests (429, 529,
5xx, no connection) with backoff and `retry-after` until the answer begins; the answer itself is read as raw bytes.
`Usage` counts as input all that was read: also what came from the prompt cache or went there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import Any

import aiohttp

from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.kernel import BaseService
from webedt.providers.anthropic_answer import Answer
from webedt.providers.anthropic_sdk import UPSTREAM, AnthropicSDK
from webedt.providers.breaker import CircuitBreaker
from webedt.providers.event_stream import EventStream, EventTooLarge
from webedt.providers.history import merged, within_budget, without_empty_texts
from webedt.providers.interface import Completed, ExecutionProvider, Item, ProviderError, RunRequest, Step, Turn
from webedt.providers.patience import Patience
from webedt.providers.refusals import counts_as_failure, disconnected, malformed, silent


class AnthropicProvider(BaseService, ExecutionProvider):
    name = "anthropic"
    resumable = False
    wants_history = True
    takes_keys = True

    def __init__(self, settings: Settings, trace_configs: Sequence[aiohttp.TraceConfig] = ()) -> None:
        self._settings = settings
        self._sdk = AnthropicSDK(
            base_url=settings.anthropic_base_url,
            max_retries=settings.provider_max_retries,
            trace_configs=trace_configs,
        )
        self._breaker = CircuitBreaker()

    async def initialize(self) -> None:
        # Without a key of the deployment's own it may never be used: then the first run with a key waits for it.
        if self.deployment_key is not None:
            await self._sdk.load()

    @property
    def unavailable_reason(self) -> str | None:
        return None

    @property
    def key_needed(self) -> str | None:
        if self._settings.deployment_keys:
            return "The anthropic provider needs an API key: your own, or ANTHROPIC_API_KEY of the deployment."
        return "The anthropic provider needs an API key of your own."

    @property
    def deployment_key(self) -> Secret | None:
        key = self._settings.anthropic_api_key
        return Secret(key) if key and self._settings.deployment_keys else None

    @property
    def breaker(self) -> CircuitBreaker:
        return self._breaker

    def default_model(self) -> str | None:
        return self._settings.anthropic_model

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        if request.api_key is None:
            raise ProviderError("provider_not_configured", str(self.key_needed), retryable=False)
        await self._sdk.load()
        answer = Answer(f"msg_{request.run_id.hex}_{request.attempt}")
        stream = EventStream()
        async with AsyncExitStack() as upstream:
            # Entered first, left last: what goes wrong while the connection is closed is translated too.
            upstream.enter_context(self._reporting(answer))
            clock = asyncio.get_running_loop().time
            first_due = clock() + self._settings.provider_first_token_seconds
            patience = Patience()
            upstream.callback(patience.close)
            chunks = await patience.wait(self._open(request, request.api_key, upstream), first_due)
            while not answer.finished:
                # The clock runs while we wait for the upstream, not while our own log takes its time. A `ping` before
                # the answer says that somebody is there, not that it is coming; in the answer whatever comes is life.
                due = clock() + self._settings.provider_idle_seconds if answer.begun else first_due
                chunk = await patience.wait(anext(chunks, b""), due)
                if not chunk:
                    raise disconnected(UPSTREAM)
                items: list[Item] = []
                try:
                    for data in stream.feed(chunk):
                        answer.take(data, items)
                except ProviderError:
                    # What was said before the fault, in the same chunk, is not to depend on how chunks are cut.
                    if items:
                        yield Step(items)
                    raise
                if items:
                    yield Step(items)
        self._breaker.succeeded()
        yield Step([Completed(answer.stop_reason)])

    async def _open(self, request: RunRequest, api_key: Secret, upstream: AsyncExitStack) -> AsyncIterator[bytes]:
        """Ask; the chunks of the answer, whose connection is closed with `upstream`."""
        turns = within_budget(request.history, self._settings.provider_history_tokens)
        turns.append(Turn("user", without_empty_texts(request.prompt)))
        messages: Any = [{"role": turn.role, "content": turn.content} for turn in merged(turns)]
        client = await upstream.enter_async_context(self._sdk.client(api_key))
        answered = client.messages.with_streaming_response.create(
            model=request.model or self._settings.anthropic_model,
            max_tokens=self._settings.anthropic_max_tokens,
            messages=messages,
            stream=True,
        )
        response = await upstream.enter_async_context(answered)
        return await upstream.enter_async_context(aclosing(response.http_response.aiter_bytes()))

    @contextmanager
    def _reporting(self, answer: Answer) -> Iterator[None]:
        """What goes wrong becomes a `ProviderError` that quotes nobody, and is told to the breaker and to the log."""
        try:
            yield
        except Exception as error:
            failure = self._failure(error, begun=answer.begun)
            if failure is None:
                raise
            (self._breaker.failed if counts_as_failure(failure) else self._breaker.succeeded)()
            self.log.warning(
                "provider_failed",
                code=failure.code,
                error=type(error).__name__,
                status=getattr(error, "status_code", None),
                upstream_request_id=getattr(error, "request_id", None),
            )
            raise failure from None

    def _failure(self, error: Exception, *, begun: bool) -> ProviderError | None:
        match error:
            case ProviderError():
                return error
            case TimeoutError():
                return silent(UPSTREAM, begun=begun)
            case EventTooLarge():
                return malformed(UPSTREAM)
        return self._sdk.provider_error(error, begun=begun)
