"""The chat completions protocol as its many servers speak it: what is sent, what comes back. Pure.

Everything that may come is optional here: a server that leaves a field out, or sends more, is understood all the same.
Source: the official SDK's types (`ChatCompletionChunk`); `reasoning_content` is of vLLM and DeepSeek, `reasoning` and
`usage.cost` of OpenRouter.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from webedt.providers.interface import Turn


class Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    """`message` stands in an answer that was not streamed although it was asked to be."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class Tokens(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


class Chunk(msgspec.Struct):
    """`object` is `"error"` and `code` a status where older servers put an error in place of a chunk."""

    choices: list[Choice] | None = None
    usage: Tokens | None = None
    error: Any = None
    object: str | None = None
    code: Any = None


class NotAChunk(ValueError):
    """What came is not what this protocol sends."""


_chunks = msgspec.json.Decoder(Chunk)


def decode_chunk(data: str) -> Chunk:
    """Raises `NotAChunk`."""
    try:
        return _chunks.decode(data)
    except msgspec.ValidationError as error:
        raise NotAChunk from error
    except msgspec.DecodeError:
        pass
    # An escaped half of a surrogate pair is JSON, and what a server sends that cuts text into UTF-16 units. The fast
    # decoder refuses it; what is stored has U+FFFD in its place.
    try:
        return msgspec.convert(json.loads(data), Chunk)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotAChunk from error


def encode_request(model: str, turns: Sequence[Turn], *, with_usage: bool) -> bytes:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": _content(turn.content)} for turn in turns],
        "stream": True,
    }
    if with_usage:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def _content(blocks: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Text alone goes as a string: the templates of many local models know nothing else."""
    if all(block["type"] == "text" for block in blocks):
        return "\n\n".join(block["text"] for block in blocks)
    return [_part(block) for block in blocks]


def _part(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "text":
        return {"type": "text", "text": block["text"]}
    source = block["source"]
    return {"type": "image_url", "image_url": {"url": f"data:{source['media_type']};base64,{source['data']}"}}


# What an error object calls itself, in `code` or in `type`, and the status that says the same.
_STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 402,
    "billing_hard_limit_reached": 402,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "context_length_exceeded": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}


def status_of_error(error: Any, otherwise: int) -> int:
    """The status that an error object stands for; `otherwise` if it does not say. Its message is never looked at."""
    if not isinstance(error, dict):
        return otherwise
    for name in ("code", "type"):
        value = error.get(name)
        if isinstance(value, str):
            value = _STATUS_OF_ERROR.get(value) or (int(value) if value.isdecimal() and len(value) == 3 else None)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return otherwise
