"""A Messages API of one's own: the wire protocol that the official SDK speaks, on loopback, with faults on request."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class FakeAnthropic:
    """`answers` are used up in order, the last one for ever: a status to refuse with, or events to stream.

    `requests` are the bodies that came, `closed` is set when a client left in the middle of a stream.
    """

    answers: list[Any] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def messages(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.headers.append(request.headers)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, tuple):
            status, headers = answer
            body = {"type": "error", "error": {"type": "some_error", "message": "refused, with sk-secret in it"}}
            return web.json_response(body, status=status, headers=headers)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for item in answer:
                if isinstance(item, float):
                    await asyncio.sleep(item)
                elif item == "cut":
                    assert request.transport is not None
                    request.transport.abort()
                else:
                    await response.write(f"event: {item['type']}\ndata: {json.dumps(item)}\n\n".encode())
        except (asyncio.CancelledError, ConnectionResetError):
            self.closed.set()
            raise
        return response


@asynccontextmanager
async def fake_anthropic(*answers: Any) -> AsyncIterator[FakeAnthropic]:
    fake = FakeAnthropic(list(answers))
    application = web.Application()
    application.router.add_post("/v1/messages", fake.messages)
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def start() -> dict[str, Any]:
    message = {
        "id": "msg_always_the_same",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1},
    }
    return {"type": "message_start", "message": message}


def block(index: int, opened: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
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
