"""A Messages API of one's own: the wire protocol that the official SDK speaks, on loopback, with faults on request.

It is as strict as the real one where a client can go wrong: path, headers, the order of turns, empty texts.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class FakeAnthropic:
    """`answers` are used up in order, the last one for ever.

    An answer is a status to refuse with and its headers, or what to stream: events, bytes as they are, seconds of
    silence, an `asyncio.Event` to wait for, "cut" for a connection that breaks; or a function of the request's body
    and headers that gives this.
    `requests` are the bodies that came, `headers` theirs, `times` when (monotonic), `peers` the keys that came over
    each connection; `transports` are the connections. `closed` is set when a client left in the middle of a stream.
    """

    answers: list[Any] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    peers: dict[Any, set[str]] = field(default_factory=dict)
    transports: list[asyncio.Transport] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(request.headers)
        self.times.append(time.monotonic())
        assert request.transport is not None
        self.transports.append(request.transport)
        peer = request.transport.get_extra_info("peername")
        self.peers.setdefault(peer, set()).add(request.headers.get("Authorization", ""))
        if fault := _fault(body, request.headers):
            status, kind = fault
            return web.json_response({"type": "error", "error": {"type": kind, "message": kind}}, status=status)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(body, request.headers)
        if isinstance(answer, tuple):
            status, headers = answer
            key = request.headers.get("Authorization")
            error = {"type": "error", "error": {"type": "some_error", "message": f"refused, with {key} in it"}}
            return web.json_response(error, status=status, headers=headers)
        return await self._stream(request, answer)

    async def _stream(self, request: web.Request, answer: Sequence[Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for item in answer:
                if isinstance(item, float):
                    await asyncio.sleep(item)
                elif isinstance(item, asyncio.Event):
                    await item.wait()
                elif item == "cut":
                    assert request.transport is not None
                    request.transport.abort()
                else:
                    await response.write(item if isinstance(item, bytes) else frame(item))
        except (asyncio.CancelledError, ConnectionResetError):
            self.closed.set()
            raise
        return response


def _fault(body: Any, headers: Mapping[str, str]) -> tuple[int, str] | None:
    """What the real API would refuse, with its status and the type of its error."""
    if not headers.get("Authorization", "").startswith("Bearer ") or "X-Api-Key" in headers:
        return 401, "authentication_error"
    if "anthropic-version" not in headers or headers.get("Content-Type") != "application/json":
        return 400, "invalid_request_error"
    roles = [turn["role"] for turn in body["messages"]]
    alternate = all(role == ("user", "assistant")[at % 2] for at, role in enumerate(roles)) and len(roles) % 2 == 1
    texts = [block["text"] for turn in body["messages"] for block in turn["content"] if block["type"] == "text"]
    filled = all(turn["content"] for turn in body["messages"]) and all(text.strip() for text in texts)
    if not (alternate and filled and body["model"] and body["max_tokens"] > 0 and body["stream"] is True):
        return 400, "invalid_request_error"
    return None


@asynccontextmanager
async def fake_anthropic(*answers: Any) -> AsyncIterator[FakeAnthropic]:
    fake = FakeAnthropic(list(answers))
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/v1/messages", fake.messages)
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def fingerprint(key: str) -> str:
    """What an echo of the key may show."""
    return hashlib.sha256(f"Bearer {key}".encode()).hexdigest()


def echo(body: Mapping[str, Any], headers: Mapping[str, str]) -> list[Any]:
    """Answers with the fingerprint of the key that came, in many small deltas with time for others between them."""
    digest = hashlib.sha256(headers["Authorization"].encode()).hexdigest()
    events: list[Any] = [start(), *text(0, *(digest[at : at + 4] for at in range(0, len(digest), 4))), *end()]
    return [item for event in events for item in (event, 0.001)]


def frame(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def error(kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": "It says sk-secret."}}


def start(**usage: int) -> dict[str, Any]:
    message = {
        "id": "msg_always_the_same",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1, **usage},
    }
    return {"type": "message_start", "message": message}


def block(index: int, opened: dict[str, Any], deltas: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": opened},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *parts: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in parts])


def end(stop_reason: str = "end_turn") -> list[dict[str, Any]]:
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
