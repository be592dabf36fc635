"""Routes of share links: the owner makes one and takes it back; whoever has it reads, without a login, and no more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from webedt.domain.sharing import SharedSession
from webedt.http.bodies import path_id, query_switch, read_optional_body
from webedt.http.context import json_response, no_content, principal
from webedt.http.log_stream import EVENTS as LOG_EVENTS
from webedt.http.origins import Origins
from webedt.http.routes import Access, Parameter, Route
from webedt.http.sessions import LAST_EVENT_ID
from webedt.http.streaming import StreamServices, stream_session
from webedt.http.web import SHARED_HEADERS
from webedt.services.sharing import TOKEN_PATTERN, ASharing

MAX_DAYS = 365


class Share(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Without `expires_in_days` the link holds until it is taken back."""

    expires_in_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None


class ShareView(msgspec.Struct, rename="camel"):
    share_token: str
    url: str
    expires_at: datetime | None


class SharedAnswer(msgspec.Struct):
    session: SharedSession


TOKEN = Parameter(
    name="token",
    place="path",
    doc="The token of a share link.",
    schema={"type": "string", "pattern": f"^{TOKEN_PATTERN}$"},
)


@dataclass(frozen=True, kw_only=True)
class SharingServices(StreamServices):
    sharing: ASharing


def sharing_routes(services: SharingServices, origins: Origins) -> list[Route]:
    sharing = services.sharing

    async def share(request: web.Request) -> web.StreamResponse:
        session_id = path_id(request, "id", "session")
        body = await read_optional_body(request, Share)
        origin = origins.own_origin(request)
        link = await sharing.share(principal(request).user.id, session_id, body.expires_in_days)
        return json_response(ShareView(link.token, f"{origin}/shared/{link.token}", link.expires_at))

    async def unshare(request: web.Request) -> web.StreamResponse:
        await sharing.unshare(principal(request).user.id, path_id(request, "id", "session"))
        return no_content()

    async def look(request: web.Request) -> web.StreamResponse:
        visit = await sharing.visit(request.match_info["token"])
        return json_response(SharedAnswer(visit.session), headers=SHARED_HEADERS)

    async def follow(request: web.Request) -> web.StreamResponse:
        deltas = query_switch(request, "deltas", default=True)
        visit = await sharing.visit(request.match_info["token"])
        return await stream_session(services, request, visit, visit.session_id, "shared", STREAM_HEADERS, deltas=deltas)

    return [
        Route(
            method="POST", path="/api/sessions/{id}/share", handler=share, summary="Make a link to read the session by",
            body=Share, body_required=False, answer=ShareView,
        ),
        Route(
            method="DELETE", path="/api/sessions/{id}/share", handler=unshare, summary="Take the link back",
            statuses=(204,),
        ),
        Route(
            method="GET", path="/api/shared/{token}", handler=look, summary="The session of a link",
            access=Access.PUBLIC, answer=SharedAnswer, refusals=(410,), parameters=(TOKEN,),
        ),
        Route(
            method="GET", path="/api/shared/{token}/events/stream", handler=follow,
            summary="Replay the session of a link, then follow over later runs", access=Access.PUBLIC, streams=True,
            media_type="text/event-stream", refusals=(410,), events=LOG_EVENTS, parameters=(TOKEN, *LAST_EVENT_ID),
        ),
    ]  # fmt: skip


# A stream's own `Cache-Control` says what streams need.
STREAM_HEADERS = {name: value for name, value in SHARED_HEADERS.items() if name != "Cache-Control"}
