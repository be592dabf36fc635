"""The route table: what can be asked for is a `Route`. Handlers, metric labels, access and OpenAPI come from it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(StrEnum):
    """Who may call. `USER`: who is logged in. `ENTRANCE`: anybody, but no foreign page (login and register)."""

    PUBLIC = "public"
    ENTRANCE = "entrance"
    USER = "user"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A query parameter, a header, or a part of the path, for OpenAPI; `schema` is JSON Schema."""

    name: str
    place: str
    doc: str
    schema: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Route:
    """`body` and `answer` are msgspec types; `media_type` of an answer that is not JSON; `statuses` beside errors.
    `refusals`: statuses of errors that nothing else here tells of.
    `events`: what an event stream may send. `raw_answers`: what else the bytes may be that are answered.
    `raw_body`: the body is bytes that the handler reads by itself; it also says when they may come (100 Continue).
    `takes_slashes`: the last part of the path is all that follows.

    `streams`: the answer goes on for long, and its handler ends with the connection. Every other handler that changes
    something is carried to its end even if the client leaves.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access = Access.USER
    needs_database: bool = True
    streams: bool = False
    body: Any = None
    body_required: bool = True
    answer: Any = None
    media_type: str = "application/json"
    events: Sequence[str] = ()
    raw_body: bool = False
    raw_answers: Sequence[str] = ()
    takes_slashes: bool = False
    statuses: Sequence[int] = (200,)
    refusals: Sequence[int] = ()
    parameters: Sequence[Parameter] = ()
    documented: bool = True

    @property
    def safe(self) -> bool:
        return self.method in ("GET", "HEAD", "OPTIONS")
