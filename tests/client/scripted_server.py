"""A server that answers by a script, on a real socket, so that it can misbehave in every way a network does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

SESSION_ID = "5e551011-0000-4000-8000-000000000001"
RUN_ID = "50000000-0000-4000-8000-000000000001"
TOKEN = "a-token"

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


def frame(event_id: int | None, kind: str, *, run_id: str = RUN_ID, **data: Any) -> bytes:
    """One frame as the server writes it; without an id it is outside the log and names no run."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    fields = {"runId": run_id, **data} if event_id is not None else data
    return f"{head}event: {kind}\ndata: {json.dumps(fields)}\n\n".encode()


def delta(event_id: int, text: str, *, message_id: str = "m1", **data: Any) -> bytes:
    """A piece of the answer."""
    return frame(event_id, "text_delta", messageId=message_id, text=text, **data)


def message(event_id: int, text: str, *, message_id: str = "m1", replaces_from: int | None = None) -> bytes:
    """A whole message of the assistant."""
    content = [{"type": "text", "text": text}]
    return frame(
        event_id, "message", messageId=message_id, role="assistant", content=content, replacesFrom=replaces_from
    )


def completed(event_id: int, **data: Any) -> bytes:
    """The good end of a run."""
    return frame(event_id, "completed", stopReason="end_turn", durationMs=1500, **data)


class ScriptedServer:
    """Each request takes the next step of the script (interrupts have a script of their own, at its end they are
    accepted).

    `requests` keeps `(method, path, headers, body)` of all of them.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.interrupt_steps: list[Step] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.interrupted = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def cursors(self) -> list[str | None]:
        """What each request for a stream asked for: the method if it was a prompt, else its Last-Event-ID."""
        return [
            method if method == "POST" else headers.get("Last-Event-ID")
            for method, path, headers, _ in self.requests
            if path.startswith(("/api/execute-remote", "/api/resume"))
        ]

    async def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        app = web.Application()
        app.router.add_post("/api/execute-remote", self._next_step)
        app.router.add_get("/api/resume/{id}", self._next_step)
        app.router.add_post("/api/sessions/{id}/interrupt", self._interrupt)
        app.router.add_post("/api/sessions/{id}/send", self._next_step)
        app.router.add_get("/api/sessions", self._next_step)
        app.router.add_post("/api/auth/{action}", self._next_step)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; open connections break."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _record(self, request: web.Request) -> None:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))

    async def _next_step(self, request: web.Request) -> web.StreamResponse:
        await self._record(request)
        if not self.steps:
            return problem(500, "internal", "the script is at its end")
        return await self.steps.pop(0)(request)

    async def _interrupt(self, request: web.Request) -> web.StreamResponse:
        await self._record(request)
        self.interrupted.set()
        if self.interrupt_steps:
            return await self.interrupt_steps.pop(0)(request)
        answer = {"sessionId": request.match_info["id"], "runId": RUN_ID, "status": "interrupting"}
        return web.json_response(answer, status=202)


def stream(*chunks: bytes, breaks: bool = False, then: Callable[[], Awaitable[object]] | None = None) -> Step:
    """A step: a stream of these chunks that ends cleanly, or by a broken connection; `then` is awaited in between."""

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Session-ID": SESSION_ID, "X-Run-ID": RUN_ID}
        )
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            await then()
        if breaks and request.transport is not None:
            request.transport.close()
        return response

    return step


def answer(status: int, body: Any = None, **headers: str) -> Step:
    """A step: a JSON answer, or an empty one."""

    async def step(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            return web.Response(status=status, headers=named)
        return web.json_response(body, status=status, headers=named)

    return step


def refusal(status: int, code: str, detail: str = "", **headers: str) -> Step:
    """A step: a problem."""

    async def step(request: web.Request) -> web.StreamResponse:
        return problem(status, code, detail, **headers)

    return step


def problem(status: int, code: str, detail: str, **headers: str) -> web.Response:
    """A problem as the wire contract shapes it."""
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail, "requestId": "r-1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named, content_type="application/problem+json")
