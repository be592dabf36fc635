"""Opening a stream: admit, subscribe, refresh, then write."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from aiohttp import web

from webedt.domain.errors import Unavailable
from webedt.domain.users import PassHolder, Principal
from webedt.http.context import no_content
from webedt.http.log_stream import LogStream, Until
from webedt.http.stream_registry import AStreams
from webedt.kernel import ServiceContainer
from webedt.log.chunks import TailKey
from webedt.log.tails import ATails
from webedt.services.runs import ARuns

ATTACH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class StreamServices(ServiceContainer):
    tails: ATails
    streams: AStreams
    runs: ARuns


async def stream_session(
    services: StreamServices,
    request: web.Request,
    who: PassHolder,
    session_id: UUID,
    kind: Literal["resume", "follow", "shared"],
    headers: dict[str, str],
    *,
    deltas: bool,
) -> web.StreamResponse:
    """`resume`: end when nothing is queued or running, 204 if that is so at once. The others stay open."""
    until = Until.IDLE if kind == "resume" else Until.NEVER
    with services.streams.admitted(who):
        stream = LogStream(request, services.tails, services.streams, until)
        tail = services.tails.open(TailKey(session_id, deltas), stream)
        try:
            await _refresh(tail.refresh())
            given = request.headers.get("Last-Event-ID")
            beginning = stream.begin_at(request.query.get("lastEventId") if given is None else given, tail)
            if kind == "resume" and stream.nothing_to_say(tail):
                return no_content()
            with services.streams.opened(stream, who, kind):
                return await stream.send(tail, beginning, headers)
        finally:
            services.tails.close(tail, stream)


async def stream_run(
    services: StreamServices,
    request: web.Request,
    who: Principal,
    session_id: UUID,
    run_id: UUID,
    prompt_seq: int,
    headers: dict[str, str],
) -> web.StreamResponse:
    """The stream of the POST that made a run, and that was admitted before: from its `user_message` to its end."""
    stream = LogStream(request, services.tails, services.streams, Until.RUN)
    tail = services.tails.open(TailKey(session_id, deltas=True), stream)
    try:
        await _refresh(tail.refresh())
        # Asked after the tail was opened: an end that this does not show yet will pass through the tail.
        end_seq = await services.runs.end_seq(session_id, run_id)
        beginning = stream.begin_with_run(run_id, prompt_seq, end_seq)
        with services.streams.opened(stream, who, "execute"):
            return await stream.send(tail, beginning, headers)
    finally:
        services.tails.close(tail, stream)


async def _refresh(refreshed: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(ATTACH_SECONDS):
            await refreshed
    except TimeoutError:
        raise Unavailable("The database does not answer.", retry_after_seconds=2) from None
