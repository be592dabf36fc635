"""The Messages API of Anthropic, streaming, through the official SDK.

Not resumable: after a take-over the run is asked again from its prompt. The SDK repeats refused requests (429, 529,
5xx) with backoff and `retry-after`. Importing it costs seconds of CPU, so it happens in a thread, and only with a key.
"""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import msgspec

from webedt.config import Settings
from webedt.kernel import BaseService
from webedt.providers.interface import (
    Completed,
    ExecutionProvider,
    Item,
    MessageDone,
    ProviderError,
    RunRequest,
    Step,
    TextDelta,
    ThinkingDelta,
    ToolUse,
    Turn,
    Usage,
)

# code, what a person reads, whether asking again later may help; by status, in the order of the SDK's documentation
_REFUSALS: dict[int, tuple[str, str, bool]] = {
    400: ("provider_refused", "Anthropic refused the request as not valid.", False),
    401: ("provider_unauthorized", "Anthropic refused the API key.", False),
    403: ("provider_forbidden", "The API key may not use this model.", False),
    404: ("provider_not_found", "Anthropic does not know this model.", False),
    413: ("provider_request_too_large", "The conversation is too large for Anthropic.", False),
    429: ("provider_rate_limited", "Anthropic's rate limit is reached; try again later.", True),
    529: ("provider_overloaded", "Anthropic is overloaded; try again later.", True),
}
_UNAVAILABLE = ("provider_unavailable", "Anthropic is not available; try again later.", True)


class AnthropicProvider(BaseService, ExecutionProvider):
    name = "anthropic"
    resumable = False
    wants_history = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sdk: Any = None
        self._client: Any = None

    async def initialize(self) -> None:
        settings = self._settings
        if not settings.anthropic_api_key:
            return
        self._sdk = await asyncio.to_thread(importlib.import_module, "anthropic")
        self._client = self._sdk.AsyncAnthropic(
            api_key=settings.anthropic_api_key,
            base_url=settings.anthropic_base_url or None,
            max_retries=settings.provider_max_retries,
            timeout=settings.provider_idle_seconds,
        )

    async def dispose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        await super().dispose()

    @property
    def unavailable_reason(self) -> str | None:
        return None if self._settings.anthropic_api_key else "The anthropic provider needs ANTHROPIC_API_KEY."

    def default_model(self) -> str | None:
        return self._settings.anthropic_model

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        answer = _Answer(f"msg_{request.run_id.hex}_{request.attempt}")
        turns = [*_within(request.history, self._settings.provider_history_tokens * 4), Turn("user", request.prompt)]
        try:
            async with asyncio.timeout(self._settings.provider_first_token_seconds) as deadline:
                stream = await self._client.messages.create(
                    model=request.model or self._settings.anthropic_model,
                    max_tokens=self._settings.anthropic_max_tokens,
                    messages=[{"role": turn.role, "content": turn.content} for turn in turns],
                    stream=True,
                )
                async with stream:
                    events = aiter(stream)
                    while (event := await self._next(events)) is not None:
                        items = answer.take(event)
                        if answer.begun:
                            now = asyncio.get_running_loop().time()
                            deadline.reschedule(now + self._settings.provider_idle_seconds)
                        if items:
                            # While the log takes its time (back-pressure) no deadline of the provider runs.
                            due = deadline.when()
                            deadline.reschedule(None)
                            yield Step(items)
                            deadline.reschedule(due)
        except TimeoutError:
            text = "The answer stopped." if answer.begun else "No answer began."
            raise ProviderError("provider_timeout", f"Anthropic was silent too long. {text}", retryable=True) from None
        except self._sdk.APIStatusError as error:
            code, message, retryable = _REFUSALS.get(error.status_code, _UNAVAILABLE)
            self.log.warning("provider_refused", status=error.status_code, request_id=error.request_id)
            raise ProviderError(code, message, retryable=retryable) from error
        except self._sdk.APIError as error:
            self.log.warning("provider_failed", error=type(error).__name__)
            raise ProviderError(*_UNAVAILABLE[:2], retryable=True) from error
        if not answer.finished:
            raise _disconnected()
        yield Step([Completed(answer.stop_reason)])

    async def _next(self, events: AsyncIterator[Any]) -> Any:
        """The next event or None. What the SDK lets through while it reads is the transport's: the answer was cut."""
        try:
            return await anext(events, None)
        except self._sdk.APIError:
            raise
        except Exception as error:
            self.log.warning("provider_cut_off", error=repr(error))
            raise _disconnected() from error


def _disconnected() -> ProviderError:
    return ProviderError("provider_disconnected", "Anthropic ended the answer in the middle.", retryable=True)


class _Answer:
    """Builds the message from the stream's events, block by block."""

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._blocks: list[dict[str, Any]] = []
        self._parts: list[str] = []
        self._input_tokens = self._output_tokens = 0
        self.begun = self.finished = False
        self.stop_reason = "end_turn"

    def take(self, event: Any) -> Sequence[Item]:
        """Take one event of the Messages API's stream; returns what readers should see of it."""
        match event.type:
            case "message_start":
                self._count(event.message.usage)
            case "content_block_start":
                self.begun = True
                self._blocks.append(event.content_block.model_dump(mode="json", exclude_none=True))
                self._parts = []
            case "content_block_delta":
                return self._delta(event.delta)
            case "content_block_stop":
                return self._close_block()
            case "message_delta":
                self.stop_reason = event.delta.stop_reason or self.stop_reason
                self._count(event.usage)
            case "message_stop":
                self.finished = True
                usage = Usage(self._input_tokens, self._output_tokens)
                return [MessageDone(self._message_id, self._blocks), usage] if self._blocks else [usage]
        return ()

    def _delta(self, delta: Any) -> Sequence[Item]:
        match delta.type:
            case "text_delta":
                self._parts.append(delta.text)
                return [TextDelta(self._message_id, delta.text)] if delta.text else ()
            case "thinking_delta":
                self._parts.append(delta.thinking)
                return [ThinkingDelta(self._message_id, delta.thinking)] if delta.thinking else ()
            case "input_json_delta":
                self._parts.append(delta.partial_json)
            case "signature_delta":
                self._blocks[-1]["signature"] = delta.signature
        return ()

    def _close_block(self) -> Sequence[Item]:
        block, text = self._blocks[-1], "".join(self._parts)
        match block["type"]:
            case "text":
                block["text"] = block.get("text", "") + text
            case "thinking":
                block["thinking"] = block.get("thinking", "") + text
            case "tool_use" | "server_tool_use":
                if text:
                    block["input"] = msgspec.json.decode(text)
                return [ToolUse(self._message_id, block["id"], block["name"], block.get("input", {}))]
        return ()

    def _count(self, usage: Any) -> None:
        self._input_tokens = getattr(usage, "input_tokens", None) or self._input_tokens
        self._output_tokens = getattr(usage, "output_tokens", None) or self._output_tokens


def _within(history: Sequence[Turn], characters: int) -> list[Turn]:
    """The newest turns that fit, beginning with a user's: the API refuses a conversation that an answer opens."""
    kept: list[Turn] = []
    for turn in reversed(history):
        # Thinking of an earlier answer need not be sent again; tool calls without their results must not be.
        content = [block for block in turn.content if block["type"] in ("text", "image")]
        characters -= len(msgspec.json.encode(content))
        if characters < 0:
            break
        if content:
            kept.append(Turn(turn.role, content))
    while kept and kept[-1].role != "user":
        kept.pop()
    return kept[::-1]
