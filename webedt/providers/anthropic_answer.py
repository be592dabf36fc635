"""From the stream of a Messages API answer to what readers see. Pure: JSON texts in, items out.

Reads the fields that are needed and no others: an event costs 1 µs so, and 20 as an object of the SDK. What it does not
know it lets pass: unknown events say nothing to readers, unknown blocks go into the message as they came.
Source: https://docs.claude.com/en/api/messages-streaming
"""

from typing import Any

import msgspec

from webedt.providers.anthropic_sdk import UPSTREAM, error_event
from webedt.providers.interface import Item, MessageDone, TextDelta, ThinkingDelta, ToolResult, ToolUse, Usage
from webedt.providers.refusals import malformed


class _Delta(msgspec.Struct):
    """Of a block or of the message; one of them for all types, told apart by `type`."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    citation: Any = None
    stop_reason: str | None = None


class _Usage(msgspec.Struct):
    """Cumulative. The API counts what it read from its cache, or wrote there, beside `input_tokens`."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Error(msgspec.Struct):
    type: str = ""


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: dict[str, Any] | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class _Named(msgspec.Struct):
    type: str


_KNOWN = {
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
}
_decode = msgspec.json.Decoder(_Event).decode
_decode_name = msgspec.json.Decoder(_Named).decode


class Answer:
    """Builds the message from its events, block by block. `begun`: there was content; `finished`: it is complete."""

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._blocks: list[dict[str, Any]] = []
        # By the index that the API gives them: the block and the pieces that belong to it.
        self._open: dict[int, tuple[dict[str, Any], list[str]]] = {}
        self._usage = _Usage()
        self.begun = self.finished = False
        self.stop_reason = "end_turn"

    def take(self, data: bytes, items: list[Item]) -> None:
        """Take the data of one event; what readers should see of it is added to `items`. Raises `ProviderError`."""
        try:
            event = _decode(data)
        except msgspec.MsgspecError:
            self._pass_if_unknown(data)
            return
        try:
            match event.type:
                case "content_block_delta" if event.delta is not None:
                    self._delta(event.index, event.delta, items)
                case "content_block_start" if event.content_block is not None:
                    self._start(event.index, event.content_block, items)
                case "content_block_stop":
                    self._stop(event.index, items)
                case "message_start" if event.message is not None:
                    self._count(event.message.usage)
                case "message_delta":
                    if event.delta is not None and event.delta.stop_reason:
                        self.stop_reason = event.delta.stop_reason
                    if event.usage is not None:
                        self._count(event.usage)
                case "message_stop":
                    self._finish(items)
                case "error":
                    raise error_event(event.error.type if event.error else "")
                case "content_block_delta" | "content_block_start":
                    raise malformed(UPSTREAM)
        except (LookupError, TypeError):
            # A block that never began, one without its fields or with others than the protocol's.
            raise malformed(UPSTREAM) from None

    def _pass_if_unknown(self, data: bytes) -> None:
        """An unknown type of event may well use the names of fields in another way."""
        try:
            known = _decode_name(data).type in _KNOWN
        except msgspec.MsgspecError:
            known = True
        if known:
            raise malformed(UPSTREAM)

    def _start(self, index: int, opened: dict[str, Any], items: list[Item]) -> None:
        block = {name: value for name, value in opened.items() if value is not None}
        self.begun = True
        self._blocks.append(block)
        self._open[index] = block, []
        if block["type"] == "text" and block.get("text"):
            items.append(TextDelta(self._message_id, block["text"]))
        if block["type"] == "thinking" and block.get("thinking"):
            items.append(ThinkingDelta(self._message_id, block["thinking"]))

    def _delta(self, index: int, delta: _Delta, items: list[Item]) -> None:
        block, parts = self._open[index]
        match delta.type:
            case "text_delta":
                if delta.text:
                    parts.append(delta.text)
                    items.append(TextDelta(self._message_id, delta.text))
            case "thinking_delta":
                if delta.thinking:
                    parts.append(delta.thinking)
                    items.append(ThinkingDelta(self._message_id, delta.thinking))
            case "input_json_delta":
                parts.append(delta.partial_json)
            case "signature_delta":
                block["signature"] = block.get("signature", "") + delta.signature
            case "citations_delta":
                block.setdefault("citations", []).append(delta.citation)

    def _stop(self, index: int, items: list[Item]) -> None:
        block, parts = self._open.pop(index)
        text = "".join(parts)
        match block["type"]:
            case "text" | "thinking" as kind:
                block[kind] = block.get(kind, "") + text
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                if text:
                    block["input"] = _input(text)
                items.append(ToolUse(self._message_id, block["id"], block["name"], block.get("input", {})))
            case str(kind) if kind.endswith("_tool_result") and "tool_use_id" in block:
                content = block.get("content")
                failed = isinstance(content, dict) and str(content.get("type", "")).endswith("_error")
                is_error = failed or block.get("is_error") is True
                items.append(ToolResult(block["tool_use_id"], content, is_error))

    def _count(self, usage: _Usage) -> None:
        for name in usage.__struct_fields__:
            value = getattr(usage, name)
            if value is not None:
                setattr(self._usage, name, value)

    def _finish(self, items: list[Item]) -> None:
        for index in list(self._open):
            self._stop(index, items)
        self.finished = True
        if self._blocks:
            items.append(MessageDone(self._message_id, self._blocks))
        used = self._usage
        read = (used.input_tokens, used.cache_creation_input_tokens, used.cache_read_input_tokens)
        items.append(Usage(sum(count or 0 for count in read), used.output_tokens or 0))


def _input(text: str) -> Any:
    """A tool's input. Cut off by `max_tokens` it is no JSON, and is kept as the API's documentation proposes."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return {"INVALID_JSON": text}
