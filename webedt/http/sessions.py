"""Routes of sessions: pages, changes, and the ways to follow their events."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from webedt.domain.errors import FieldError, InvalidRequest
from webedt.domain.sessions import STATUSES, ChatSession, SessionStatus
from webedt.domain.text import NOT_BLANK, clean_text
from webedt.http.bodies import path_id, query_int, query_switch, read_body
from webedt.http.context import json_response, no_content, principal
from webedt.http.log_stream import EVENTS as LOG_EVENTS
from webedt.http.long_poll import wait_beyond
from webedt.http.routes import Parameter, Route
from webedt.http.streaming import StreamServices, stream_session
from webedt.http.updates import EVENTS as LIST_EVENTS
from webedt.http.updates import stream_updates
from webedt.services.lists import ALists
from webedt.services.sessions import ASessions, Cursor

MAX_WAIT_SECONDS = 30
MAX_EVENT_PAGE = 5000
MAX_SESSION_PAGE = 200
MAX_CURSOR = 2**53 - 1
MAX_SEARCH_LENGTH = 200
SWITCH = ["0", "1", "false", "true"]


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    title: Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema=NOT_BLANK)] | None = None
    favorite: bool | None = None


class SessionAnswer(msgspec.Struct):
    session: ChatSession


class SessionPage(msgspec.Struct, rename="camel"):
    sessions: list[ChatSession]
    next_cursor: str | None


class EventView(msgspec.Struct, rename="camel"):
    id: int
    type: str
    data: dict[str, Any]
    run_id: UUID
    created_at: datetime


class EventPage(msgspec.Struct, rename="camel"):
    """`last_event_id`: ask for what is after it next."""

    events: list[EventView]
    last_event_id: int
    status: SessionStatus


@dataclass(frozen=True, kw_only=True)
class SessionServices(StreamServices):
    sessions: ASessions
    lists: ALists


def _query(name: str, doc: str, **schema: Any) -> Parameter:
    return Parameter(name=name, place="query", doc=doc, schema=schema)


LAST_EVENT_ID = (
    Parameter(
        name="Last-Event-ID", place="header", doc="The last event seen; wins over the query.", schema={"type": "string"}
    ),
    _query("lastEventId", "The last event seen.", type="string"),
    _query("deltas", "0: whole messages only.", type="string", enum=SWITCH),
)


def session_routes(services: SessionServices) -> list[Route]:
    sessions = services.sessions

    async def _stream(request: web.Request, kind: Literal["resume", "follow"]) -> web.StreamResponse:
        who = principal(request)
        session_id = path_id(request, "id", "session")
        deltas = query_switch(request, "deltas", default=True)
        await sessions.head(who.user.id, session_id)
        headers = {"X-Session-ID": str(session_id)}
        return await stream_session(services, request, who, session_id, kind, headers, deltas=deltas)

    # Not functions around it: each would keep a frame for as long as a stream is open.
    resume, follow = partial(_stream, kind="resume"), partial(_stream, kind="follow")

    async def events(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        user_id = who.user.id
        session_id = path_id(request, "id", "session")
        after = query_int(request, "after", 0, 0, MAX_CURSOR)
        limit = query_int(request, "limit", 500, 1, MAX_EVENT_PAGE)
        wait = query_int(request, "wait", 0, 0, MAX_WAIT_SECONDS)
        head = await sessions.head(user_id, session_id)
        page = await services.tails.replay.json_page(session_id, after, limit)
        if not page["rows"] and wait and after >= head.last_seq:
            await wait_beyond(services.streams, services.tails, who, session_id, after, wait)
            page = await services.tails.replay.json_page(session_id, after, limit)
        # Asked last: the status is never older than the events, so "completed" means that all were seen.
        head = await sessions.head(user_id, session_id)
        last = page["last_seq"] if page["rows"] else min(after, head.last_seq)
        body = b'{"events":[%s],"lastEventId":%d,"status":"%s"}' % (page["items"] or b"", last, head.status.encode())
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def list_sessions(request: web.Request) -> web.StreamResponse:
        status = request.query.get("status") or None
        if status is not None and status not in STATUSES:
            known = ", ".join(STATUSES)
            raise InvalidRequest(f"status must be one of {known}.", errors=[FieldError("?status", f"one of {known}")])
        text = request.query.get("q", "")
        if len(text) > MAX_SEARCH_LENGTH:
            rule = f"must have at most {MAX_SEARCH_LENGTH} characters"
            raise InvalidRequest(f"q {rule}.", errors=[FieldError("?q", rule)])
        limit = query_int(request, "limit", 50, 1, MAX_SESSION_PAGE)
        found = await sessions.list(
            principal(request).user.id,
            status=status,
            text=clean_text(text).strip() or None,
            favorite=query_switch(request, "favorite", default=False) if request.query.get("favorite") else None,
            deleted=query_switch(request, "deleted", default=False),
            before=_read_cursor(request.query.get("cursor")),
            limit=limit + 1,
        )
        page = list(found[:limit])
        return json_response(SessionPage(page, _write_cursor(page[-1]) if len(found) > limit else None))

    async def updates(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        return await stream_updates(services.streams, services.lists, request, who)

    async def get(request: web.Request) -> web.StreamResponse:
        found = await sessions.find(principal(request).user.id, path_id(request, "id", "session"))
        return json_response(SessionAnswer(found))

    async def patch(request: web.Request) -> web.StreamResponse:
        session_id = path_id(request, "id", "session")
        body, _ = await read_body(request, Patch)
        if body.title is not None and not body.title.strip():
            raise InvalidRequest("title must not be empty.", errors=[FieldError("$.title", "must not be empty")])
        title = None if body.title is None else " ".join(body.title.split())
        changed = await sessions.update(principal(request).user.id, session_id, title=title, favorite=body.favorite)
        return json_response(SessionAnswer(changed))

    async def delete(request: web.Request) -> web.StreamResponse:
        await sessions.delete(principal(request).user.id, path_id(request, "id", "session"))
        return no_content()

    async def restore(request: web.Request) -> web.StreamResponse:
        restored = await sessions.restore(principal(request).user.id, path_id(request, "id", "session"))
        return json_response(SessionAnswer(restored))

    stream: dict[str, Any] = {"method": "GET", "streams": True, "media_type": "text/event-stream"}
    one: dict[str, Any] = {"path": "/api/sessions/{id}", "answer": SessionAnswer}
    return [
        Route(
            path="/api/resume/{id}", handler=resume, summary="Replay, then follow until nothing runs or waits",
            statuses=(200, 204), events=LOG_EVENTS, parameters=LAST_EVENT_ID, **stream,
        ),
        Route(
            path="/api/sessions/{id}/events/stream", handler=follow, summary="Replay, then follow over later runs",
            events=LOG_EVENTS, parameters=LAST_EVENT_ID, **stream,
        ),
        Route(
            method="GET", path="/api/sessions/{id}/events", handler=events, summary="A page of events, or a long poll",
            answer=EventPage,
            parameters=(
                _query("after", "Events after this id.", type="integer", minimum=0, maximum=MAX_CURSOR),
                _query("limit", "At most so many.", type="integer", minimum=1, maximum=MAX_EVENT_PAGE),
                _query("wait", "Hold an empty answer so long, s.", type="integer", minimum=0, maximum=MAX_WAIT_SECONDS),
            ),
        ),
        Route(
            path="/api/sessions/updates", handler=updates, summary="The user's list of sessions as it changes",
            events=LIST_EVENTS, **stream,
        ),
        Route(
            method="GET", path="/api/sessions", handler=list_sessions, summary="The user's sessions, newest first",
            answer=SessionPage,
            parameters=(
                _query("status", "Only these.", type="string", enum=list(STATUSES)),
                _query("q", "Only with this text in the title.", type="string", maxLength=MAX_SEARCH_LENGTH),
                _query("favorite", "1: favorites only; 0: the others.", type="string", enum=SWITCH),
                _query("deleted", "1: the deleted ones instead.", type="string", enum=SWITCH),
                _query("limit", "At most so many.", type="integer", minimum=1, maximum=MAX_SESSION_PAGE),
                _query("cursor", "`nextCursor` of the page before.", type="string"),
            ),
        ),
        Route(method="GET", handler=get, summary="One session", **one),
        Route(method="PATCH", handler=patch, summary="Rename a session, or mark it", body=Patch, **one),
        Route(
            method="DELETE", path="/api/sessions/{id}", handler=delete, summary="Delete a session, softly",
            statuses=(204,),
        ),
        Route(
            method="POST", path="/api/sessions/{id}/restore", handler=restore, summary="Bring a deleted session back",
            answer=SessionAnswer,
        ),
    ]  # fmt: skip


def _write_cursor(session: ChatSession) -> str:
    text = f"{session.created_at.isoformat()} {session.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(text: str | None) -> Cursor | None:
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        created_at, session_id = raw.split(" ")
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC), UUID(session_id)
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidRequest("cursor is not one of ours.", errors=[FieldError("?cursor", "not one of ours")]) from None
