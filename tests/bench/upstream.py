"""Upstreams of one's own, as a process, so that their CPU is nobody else's: `python -m tests.bench.upstream PORT`.

Prompts carry the directive of the simulated provider, `[[tokens=500 rate=100]]`: number of deltas, deltas a second
(0: as fast as possible). A provider's protocol is a function in `PROTOCOLS` that makes the frames of an answer.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.support.anthropic_fake import end, start, text
from webedt.providers.simulated import Directive, parse_directive

TOGETHER = 32


def anthropic(deltas: int) -> list[bytes]:
    events = [start(), *text(0, *(f"word {number} of an answer " for number in range(deltas))), *end()]
    return [_frame(event) for event in events]


def openai(deltas: int) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}

    words = [chunk({"content": f"word {number} of an answer "}) for number in range(deltas)]
    return [*(_frame(one) for one in (*words, chunk({}, "stop"))), b"data: [DONE]\n\n"]


def claude(deltas: int) -> list[bytes]:
    """One message of a managed agent session, previewed."""
    at = "2026-01-01T00:00:00.000001Z"
    said = [f"word {number} of an answer " for number in range(deltas)]
    fragments = [{"type": "content_delta", "index": 0, "content": {"type": "text", "text": word}} for word in said]
    message = {"type": "agent.message", "id": "sevt_2", "processed_at": at}
    events: list[dict[str, Any]] = [
        {"type": "session.status_running", "id": "sevt_1", "processed_at": at},
        {"type": "event_start", "event": {"type": "agent.message", "id": "sevt_2"}},
        *({"type": "event_delta", "event_id": "sevt_2", "delta": fragment} for fragment in fragments),
        {**message, "content": [{"type": "text", "text": "".join(said)}]},
        {"type": "session.status_idle", "id": "sevt_3", "processed_at": at, "stop_reason": {"type": "end_turn"}},
    ]
    return [_frame(event) for event in events]


def _frame(event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


PROTOCOLS: dict[str, Callable[[int], list[bytes]]] = {"/v1/messages": anthropic, "/v1/chat/completions": openai}


class ManagedSessions:
    """As little of them as a run needs: made, followed, sent a prompt to."""

    def __init__(self) -> None:
        self._prompts: list[asyncio.Future[str]] = []

    def routes(self) -> list[web.RouteDef]:
        one = "/v1/sessions/{number}/events"
        return [
            web.post("/v1/sessions", self.create),
            web.post(one, self.send),
            web.get(f"{one}/stream", self.stream),
        ]

    async def create(self, _request: web.Request) -> web.StreamResponse:
        self._prompts.append(asyncio.get_running_loop().create_future())
        return web.json_response({"id": str(len(self._prompts) - 1)})

    async def send(self, request: web.Request) -> web.StreamResponse:
        self._prompts[int(request.match_info["number"])].set_result(await request.text())
        return web.json_response({"data": []})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        directive = parse_directive(await self._prompts[int(request.match_info["number"])])
        await _write(response, claude(directive.tokens), directive)
        return response


async def answer(request: web.Request) -> web.StreamResponse:
    directive = parse_directive(await request.text())
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await _write(response, PROTOCOLS[request.path](directive.tokens), directive)
    return response


async def _write(response: web.StreamResponse, frames: list[bytes], directive: Directive) -> None:
    if not directive.rate:
        for at in range(0, len(frames), TOGETHER):
            await response.write(b"".join(frames[at : at + TOGETHER]))
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    for number, frame in enumerate(frames):
        await asyncio.sleep(began + number / directive.rate - clock())
        await response.write(frame)


async def serve(port: int) -> None:
    application = web.Application()
    for path in PROTOCOLS:
        application.router.add_post(path, answer)
    application.add_routes(ManagedSessions().routes())
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
