"""One streamed chat completion, put together from its frames. Pure: no I/O, no clock."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from webedt.client.sse import Frame
from webedt.providers.interface import (
    Completed,
    Item,
    MessageDone,
    ProviderError,
    TextDelta,
    ThinkingDelta,
    ToolUse,
    Usage,
)
from webedt.providers.openai_wire import (
    Chunk,
    Delta,
    NotAChunk,
    Tokens,
    ToolCall,
    decode_chunk,
    status_of_error,
)
from webedt.providers.refusals import malformed, refused

_STOP_REASONS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
# OpenRouter and DeepSeek say by these that the model broke off, not that it was done.
_BROKEN_OFF = ("error", "insufficient_system_resource")
# Under this key goes what a model gave as a tool's arguments and is no JSON object.
ARGUMENTS = "arguments"


class Answer:
    """`begun`: something of the answer came; `finished`: the model said why it stopped; `done`: nothing more comes.

    `failure` is why the answer is none. It is not raised, so that what came in front of it can be passed on first.
    """

    def __init__(self, upstream: str, message_id: str) -> None:
        self._upstream = upstream
        self._message_id = message_id
        self._parts: list[tuple[Literal["thinking", "text"], list[str]]] = []
        self._calls: list[_Call] = []
        self._tokens: Tokens | None = None
        self._stop_reason = ""
        self._declined = False
        self.begun = self.done = False
        self.failure: ProviderError | None = None

    @property
    def finished(self) -> bool:
        return bool(self._stop_reason)

    def take(self, frames: Iterable[Frame]) -> list[Item]:
        """What readers should see of these frames."""
        items: list[Item] = []
        for frame in frames:
            data = frame.data
            if not data or data.isspace():
                continue
            if data.strip() == "[DONE]":
                self.done = True
                break
            try:
                self._take(decode_chunk(data), items, is_error=frame.event == "error")
            except NotAChunk:
                self.failure = malformed(self._upstream)
            if self.failure is not None:
                break
        return items

    def ending(self) -> list[Item]:
        """The tools that are to be used, the whole message, what it took and why it ended."""
        uses = [call.use(self._message_id, number) for number, call in enumerate(self._calls)]
        content: list[dict[str, Any]] = [{"type": kind, kind: "".join(parts)} for kind, parts in self._parts]
        content += [{"type": "tool_use", "id": use.tool_use_id, "name": use.name, "input": use.input} for use in uses]
        items: list[Item] = [*uses]
        if content:
            items.append(MessageDone(self._message_id, content))
        if self._tokens is not None:
            tokens = self._tokens
            items.append(Usage(tokens.prompt_tokens or 0, tokens.completion_tokens or 0, tokens.cost))
        items.append(Completed(self._reason()))
        return items

    def _reason(self) -> str:
        known = _STOP_REASONS.get(self._stop_reason)
        if known is not None:
            return known
        if self._declined:
            return "refusal"
        # Some servers say `stop` also where the model wants to use tools.
        return "tool_use" if self._calls else "end_turn"

    def _take(self, chunk: Chunk, items: list[Item], *, is_error: bool) -> None:
        if chunk.error is not None or chunk.object == "error" or is_error:
            error = chunk.error if chunk.error is not None else {"code": chunk.code}
            self.failure = refused(self._upstream, status_of_error(error, otherwise=500))
            return
        # Some servers count in each chunk; the last one counts all.
        self._tokens = chunk.usage or self._tokens
        for choice in chunk.choices or ():
            if choice.index:
                continue  # one answer was asked for
            delta = choice.delta or choice.message
            if delta is not None:
                self._take_delta(delta, items)
            if choice.finish_reason:
                if choice.finish_reason in _BROKEN_OFF:
                    self.failure = refused(self._upstream, 500)
                self.begun = True
                self._stop_reason = choice.finish_reason

    def _take_delta(self, delta: Delta, items: list[Item]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            self._add("thinking", thought)
            items.append(ThinkingDelta(self._message_id, thought))
        for text in (delta.content, delta.refusal):
            if text:
                self._add("text", text)
                items.append(TextDelta(self._message_id, text))
        if delta.refusal:
            self._declined = True
        for call in delta.tool_calls or ():
            self.begun = True
            self._call_of(call).add(call)

    def _add(self, kind: Literal["thinking", "text"], text: str) -> None:
        self.begun = True
        if not self._parts or self._parts[-1][0] != kind:
            self._parts.append((kind, []))
        self._parts[-1][1].append(text)

    def _call_of(self, part: ToolCall) -> "_Call":
        """The call that this is a part of. Servers that give no index send each call in one piece, with an id."""
        for call in self._calls:
            if part.index is not None and call.index == part.index:
                return call
        if part.index is None and not part.id and self._calls:
            return self._calls[-1]
        self._calls.append(_Call(part.index))
        return self._calls[-1]


class _Call:
    def __init__(self, index: int | None) -> None:
        self.index = index
        self._id = self._name = ""
        self._arguments: list[str] = []

    def add(self, part: ToolCall) -> None:
        # The first counts: there are servers that repeat id and name in each part.
        self._id = self._id or part.id or ""
        if part.function is None:
            return
        self._name = self._name or part.function.name or ""
        arguments = part.function.arguments
        if isinstance(arguments, str):
            self._arguments.append(arguments)
        elif arguments is not None:
            self._arguments.append(msgspec.json.encode(arguments).decode())

    def use(self, message_id: str, number: int) -> ToolUse:
        return ToolUse(message_id, self._id or f"{message_id}_call_{number}", self._name, self._input())

    def _input(self) -> dict[str, Any]:
        text = "".join(self._arguments)
        if not text.strip():
            return {}
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return {ARGUMENTS: text}
        return found if isinstance(found, dict) else {ARGUMENTS: text}
