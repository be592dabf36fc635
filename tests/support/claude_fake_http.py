"""The endpoints of the fake Managed Agents API: events of a session, and what all endpoints have in common."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from aiohttp import web
from anthropic.types.beta import BetaManagedAgentsDeltaType
from anthropic.types.beta.sessions import BetaManagedAgentsSessionEventType

from tests.support.claude_fake_faults import Fault, Refused, abort, after, before
from tests.support.claude_fake_shapes import Misshapen, check_body
from tests.support.claude_fake_state import (
    STAMPED_ON_RECEIPT,
    Event,
    Listener,
    Session,
    page_of,
    parse_time,
    within,
)

if TYPE_CHECKING:
    from tests.support.claude_fake import FakeClaude

BETA = "managed-agents-2026-04-01"
ANSWERS_TO = {
    "user.tool_confirmation": "tool_use_id",
    "user.custom_tool_result": "custom_tool_use_id",
    "user.tool_result": "tool_use_id",
}
MAY_BE_SENT = "`user.tool_confirmation`, `user.custom_tool_result`, `user.tool_result`, or `user.interrupt`"
Work = Callable[[web.Request, str, Fault | None], Awaitable[web.StreamResponse]]


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass
class Seen:
    """A request that came, whatever became of it. `status` is None while there is no answer."""

    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    session_id: str | None
    key: str | None  # the hash of the key
    status: int | None = None
    body: Any = None
    fault: str | None = None
    at: float = field(default_factory=time.time)


SEEN = web.RequestKey("seen", Seen)


def key_of(request: web.Request) -> str | None:
    return request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ") or None


def endpoint(fake: "FakeClaude", name: str, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Auth, faults, the record of what came, and errors in Anthropic's format, around the work of an endpoint."""

    async def handle(request: web.Request) -> web.StreamResponse:
        key, session_id = key_of(request), request.match_info.get("session_id")
        query = {part: ",".join(request.query.getall(part)) for part in request.query}
        hashed = None if key is None else key_hash(key)
        seen = Seen(name, request.method, request.path, query, session_id, hashed)
        fake.requests.append(seen)
        request[SEEN] = seen
        fault = fake.fault_for(name, session_id)
        seen.fault = None if fault is None else fault.kind
        identity = fake.ids("req")
        headers = {"request-id": identity}
        try:
            await before(fault, request)
            workspace = fake.workspace_of(key)
            headers["anthropic-workspace-id"] = workspace
            if request.headers.get("anthropic-workspace-id", workspace) != workspace:
                raise Refused(403, "the key belongs to another workspace")
            if BETA not in request.headers.get("anthropic-beta", ""):
                raise Refused(400, f"this API is in beta: add `{BETA}` to the 'anthropic-beta' header")
            if "anthropic-version" not in request.headers:
                raise Refused(400, "anthropic-version: header is required")
            response = await work(request, workspace, fault)
            await after(fault, request)
            if not response.prepared:
                response.headers.update(headers)
            seen.status = response.status
        except Refused as refused:
            seen.status = refused.status
            response = web.json_response(
                {**refused.body, "request_id": identity}, status=refused.status, headers={**headers, **refused.headers}
            )
        except ConnectionResetError:  # of a fault: nothing of the answer gets out
            abort(request)
            response = web.Response(status=500)
        return response

    return handle


async def body_of(request: web.Request, name: str) -> dict[str, Any]:
    try:
        body = json.loads(await request.text() or "{}")
        request[SEEN].body = body
        check_body(name, body)
    except (ValueError, Misshapen) as problem:
        raise Refused(400, str(problem)) from None
    return dict(body)


class Query:
    """The query of a listing, strictly: what is not known is not permitted."""

    def __init__(self, request: web.Request, names: set[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name in request.query:
            plain = name.removesuffix("[]")
            if plain not in names | {"beta"}:
                raise Refused(400, f"{name}: Extra inputs are not permitted")
            self._values.setdefault(plain, []).extend(request.query.getall(name))

    def one(self, name: str, default: str | None = None) -> str | None:
        return self._values.get(name, [default])[-1]

    def all(self, name: str, permitted: tuple[str, ...]) -> list[str]:
        values = self._values.get(name, [])
        if wrong := [value for value in values if value not in permitted]:
            raise Refused(400, f"{name}: Input should be one of {list(permitted)}, not {wrong[0]!r}")
        return values

    def limit(self, default: int, most: int) -> int:
        text = self.one("limit", str(default)) or ""
        if not text.isdigit() or not 1 <= int(text) <= most:
            raise Refused(400, f"limit: Input should be a number from 1 to {most}")
        return int(text)

    def bounds(self) -> dict[str, datetime]:
        bounds = {}
        for name in ("gt", "gte", "lt", "lte"):
            if (text := self.one(f"created_at[{name}]")) is not None:
                try:
                    bounds[name] = parse_time(text)
                except ValueError:
                    raise Refused(400, f"created_at[{name}]: Input should be a valid datetime") from None
        return bounds

    def order(self, default: str) -> str:
        return (self.all("order", ("asc", "desc")) or [default])[-1]


BOUNDS = {"created_at[gt]", "created_at[gte]", "created_at[lt]", "created_at[lte]"}


class Events:
    def __init__(self, fake: "FakeClaude") -> None:
        self._fake = fake

    async def list_them(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        session = self._fake.session_of(request, workspace)
        query = Query(request, {"limit", "order", "page", "types"} | BOUNDS)
        types = query.all("types", get_args(BetaManagedAgentsSessionEventType))
        most = self._fake.options.list_limit
        order, bounds, limit = query.order("asc"), query.bounds(), query.limit(most, most)
        events = [
            (key, event)
            for key, event in session.listed(descending=order == "desc")
            if (not types or event["type"] in types) and within(event["processed_at"], bounds)
        ]
        bound_to = [order, types, {name: bound.isoformat() for name, bound in bounds.items()}]
        try:
            shown, following = page_of(events, limit, query.one("page"), bound_to, order == "desc")
        except ValueError as problem:
            raise Refused(400, str(problem)) from None
        return web.json_response({"data": shown, "next_page": following})

    async def send(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        session = self._fake.session_of(request, workspace)
        events = (await body_of(request, "send"))["events"]
        return web.json_response({"data": self.take(session, events)})

    def take(self, session: Session, events: list[dict[str, Any]]) -> list[Event]:
        """Persist the events and hand them to the agent: all of them, or none."""
        if not events:
            raise Refused(400, "events: List should have at least 1 item")
        if session.body["archived_at"] is not None or session.body["status"] == "terminated":
            raise Refused(400, f"Session {session.id} is {'archived' if session.body['archived_at'] else 'terminated'}")
        self._check(session, events)
        taken = []
        for event in events:
            self._fake.arrived[event["type"]] += 1
            session.arrived[event["type"]] += 1
            if event["type"] == "user.interrupt" and session.over_budget:  # accepted and ignored, says the manual
                taken.append(self._persisted(event))
                continue
            taken.append(self._persisted(event))
            session.events.append(taken[-1])
            session.broadcast(taken[-1])
            if event["type"] in ANSWERS_TO:
                session.awaited.pop(event[ANSWERS_TO[event["type"]]])
            self._fake.agents_at_work[session.id].receive(taken[-1])
        # Copies: the agent may stamp an event before its answer has been written.
        return [dict(event) for event in taken]

    def _persisted(self, event: dict[str, Any]) -> Event:
        stamped = event["type"] in STAMPED_ON_RECEIPT
        identity = self._fake.ids("sevt")
        if event["type"] == "user.interrupt" and self._fake.options.interrupt_without_id:
            identity = ""
        more = {"outcome_id": self._fake.ids("outc")} if event["type"] == "user.define_outcome" else {}
        moment = self._fake.clock.stamp() if stamped else None
        return {"id": identity, **event, **more, "processed_at": moment}

    def _check(self, session: Session, events: list[dict[str, Any]]) -> None:
        waiting = list(session.awaited)
        blocked = list(self._fake.agents_at_work[session.id].pending) if session.blocked else []
        for place, event in enumerate(events):
            kind = event["type"]
            wrong = f"Invalid {kind} event at events[{place}]"
            if kind == "user.interrupt":
                blocked, waiting = [], []
            elif kind in ANSWERS_TO:
                use = event[ANSWERS_TO[kind]]
                if use not in waiting or session.awaited[use] != kind:
                    raise Refused(400, f"{wrong}: no event {use} waits for it")
                if kind == "user.tool_confirmation" and event.get("deny_message") and event["result"] != "deny":
                    raise Refused(400, f"{wrong}: deny_message is only allowed when result is 'deny'")
                waiting.remove(use)
                blocked = blocked if waiting else []
            elif session.over_budget:
                raise Refused(400, f"{wrong}: the session reached its budget; only {MAY_BE_SENT} may be sent")
            elif blocked:
                names = ", ".join(blocked)
                raise Refused(400, f"{wrong}: waiting on responses to events [{names}]; only {MAY_BE_SENT} may be sent")
            elif kind != "user.define_outcome" and not event["content"]:
                raise Refused(400, f"events.{place}.content: List should have at least 1 item")

    async def stream(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        session = self._fake.session_of(request, workspace)
        previews = Query(request, {"event_deltas"}).all("event_deltas", get_args(BetaManagedAgentsDeltaType))
        if len(previews) > 100:
            raise Refused(400, "event_deltas: List should have at most 100 items")
        # Listening begins before the headers go out: whoever has them misses nothing from then on.
        listener = session.open_listener(frozenset(previews))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        try:
            await response.prepare(request)
            request[SEEN].status = 200
            await self._deliver(request, response, listener, fault)
        finally:
            session.listeners.discard(listener)
        return response

    async def _deliver(
        self, request: web.Request, response: web.StreamResponse, listener: Listener, fault: Fault | None
    ) -> None:
        sent = 0
        while True:
            if fault is not None and sent >= fault.after:
                if fault.kind == "cut":
                    raise ConnectionResetError
                if fault.kind == "end":
                    return
                if fault.kind == "silent":
                    await asyncio.Event().wait()
                if fault.kind == "error_event":
                    return await response.write(sse("error", Refused(fault.status, fault.message).body))
            try:
                async with asyncio.timeout(self._fake.options.ping or None):
                    event = await listener.queue.get()
            except TimeoutError:
                await response.write(sse("ping", {"type": "ping"}))
                continue
            if event is None:
                return
            sent += 1
            await response.write(sse(event["type"], event))
            if fault is not None and fault.kind == "duplicate" and sent == fault.after + 1:
                await response.write(sse(event["type"], event))


def sse(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
