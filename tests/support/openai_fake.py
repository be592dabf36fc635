"""A chat completions endpoint of one's own: the protocol of OpenAI and of those who copy it, on loopback, with faults
on request. That it is faithful is shown by the official SDK in `tests/providers/test_openai_fake.py`."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "fake-1"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
DONE = b"data: [DONE]\n\n"
CUT = object()
_FIELDS = {"model", "messages", "stream", "stream_options", "max_tokens", "temperature", "tools", "n"}


@dataclass
class Refusal:
    """An error status. Its text repeats what came, as a careless upstream would."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    kind: str = "some_error"


@dataclass
class Finish:
    """The chunk that says why it ends."""

    reason: str = "stop"


@dataclass
class Usage:
    """The last chunk of who asked for usage; it has no choices."""

    extra: Mapping[str, Any] = field(default_factory=dict)


class Echo:
    """Says a hash of the `Authorization` that came with the request."""


def key_hash(authorization: str) -> str:
    return hashlib.sha256(authorization.encode()).hexdigest()


def answer(*texts: str, finish: str = "stop") -> list[Any]:
    """A stream as it should be."""
    return [{"role": "assistant", "content": ""}, *texts, Finish(finish), Usage(), DONE]


def tool_call(index: int, call_id: str, name: str, *arguments: str) -> list[dict[str, Any]]:
    """The deltas of one call: first its name, then its arguments in pieces."""
    opened = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    return [
        {"tool_calls": [opened]},
        *({"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in arguments),
    ]


@dataclass
class FakeOpenAI:
    """`answers` are used up in order, the last one for ever: a `Refusal`, or what is streamed, item by item.

    An item: a text, a delta (dict), `Finish`, `Usage`, `Echo`, bytes as they are, seconds to wait (float), `CUT`.
    `keys`: none other is let in. `knows_usage`: whether `stream_options` is a known field. `whole`: it never streams.
    `requests` are the bodies that came, `closed` is set when a client left in the middle of a stream.
    """

    answers: list[Any]
    keys: frozenset[str] | None = None
    knows_usage: bool = True
    whole: bool = False
    content_type: str = "text/event-stream; charset=utf-8"
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    peers: list[Any] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(request.headers)
        self.peers.append(request.get_extra_info("peername"))
        authorization = request.headers.get("Authorization", "")
        if self.keys is not None and authorization.removeprefix("Bearer ") not in self.keys:
            return _error(Refusal(401, code="invalid_api_key", kind="invalid_request_error"), authorization)
        if (fault := self._fault(body)) is not None:
            return _error(Refusal(400, kind="invalid_request_error"), fault)
        script = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(script, Refusal):
            return _error(script, authorization)
        if self.whole or not body.get("stream"):
            return web.json_response(_whole(script))
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)
        try:
            for item in script:
                await self._play(request, response, item, body)
        except (asyncio.CancelledError, ConnectionResetError):
            self.closed.set()
            raise
        return response

    def _fault(self, body: dict[str, Any]) -> str | None:
        """What a strict server would find wrong with the request."""
        known = _FIELDS if self.knows_usage else _FIELDS - {"stream_options"}
        if unknown := body.keys() - known:
            return f"Unrecognized request argument supplied: {', '.join(sorted(unknown))}"
        if not isinstance(body.get("model"), str) or not body["model"]:
            return "you must provide a model parameter"
        if "stream_options" in body and not body.get("stream"):
            return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return "[] is too short - 'messages'"
        return next((fault for message in messages if (fault := _fault_of(message))), None)

    async def _play(self, request: web.Request, response: web.StreamResponse, item: Any, body: dict[str, Any]) -> None:
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        if isinstance(item, float):
            await asyncio.sleep(item)
        elif item is CUT:
            assert request.transport is not None
            request.transport.abort()
        elif isinstance(item, bytes):
            await response.write(item)
        elif isinstance(item, Usage):
            if with_usage:
                await response.write(_frame({**_chunk(body["model"], []), "usage": {**USAGE, **item.extra}}))
        else:
            if isinstance(item, Echo):
                item = key_hash(request.headers.get("Authorization", ""))
            await response.write(frame(item, body["model"], with_usage=with_usage))


def frame(item: Any, model: str = MODEL, *, with_usage: bool = True) -> bytes:
    """A text, a delta or a `Finish` as a server sends it."""
    delta = {"content": item} if isinstance(item, str) else item if isinstance(item, dict) else {}
    reason = item.reason if isinstance(item, Finish) else None
    chunk = _chunk(model, [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}])
    return _frame({**chunk, "usage": None} if with_usage else chunk)


def _frame(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _chunk(model: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-always-the-same",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": model,
        "system_fingerprint": None,
        "choices": choices,
    }


def _whole(script: Sequence[Any]) -> dict[str, Any]:
    """The same answer to who did not ask for a stream."""
    text = "".join(item for item in script if isinstance(item, str))
    [reason] = [item.reason for item in script if isinstance(item, Finish)]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": reason,
    }
    return {**_chunk(MODEL, [choice]), "object": "chat.completion", "usage": USAGE}


def _fault_of(message: Any) -> str | None:
    if not isinstance(message, dict) or message.keys() != {"role", "content"}:
        return "Invalid message."
    if message["role"] not in ("system", "developer", "user", "assistant"):
        return f"Invalid value: '{message['role']}'."
    content = message["content"]
    if isinstance(content, str):
        return None
    if not isinstance(content, list) or not content:
        return "Invalid type for 'messages.content'."
    return next((fault for part in content if (fault := _fault_of_part(part, message["role"]))), None)


def _fault_of_part(part: Any, role: str) -> str | None:
    match part:
        case {"type": "text", "text": str(), **rest} if not rest:
            return None
        case {"type": "image_url", "image_url": {"url": str(url), **more}, **rest} if not rest and role == "user":
            if url.startswith(("data:image/", "https://")) and more.keys() <= {"detail"}:
                return None
    return "Invalid content part."


def _error(refusal: Refusal, said: str) -> web.Response:
    message = f"Refused; what was sent: {said}"
    error = {"message": message, "type": refusal.kind, "param": None, "code": refusal.code}
    return web.json_response({"error": error}, status=refusal.status, headers=refusal.headers)


@asynccontextmanager
async def fake_openai(*answers: Any, **more: Any) -> AsyncIterator[FakeOpenAI]:
    fake = FakeOpenAI(list(answers), **more)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/v1/chat/completions", fake.completions)
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    assert site.name
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield fake
    finally:
        await runner.cleanup()
