"""Opening a stream: admit, subscribe, refresh, write the beginning, and let it go on without the request."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from aiohttp import HttpVersion11, web

from webedt.domain.errors import Unavailable
from webedt.domain.users import PassHolder
from webedt.http.context import no_content
from webedt.http.log_stream import LogStream, Until
from webedt.http.problems import SSE_HEADERS
from webedt.http.stream_registry import AStreams, Place
from webedt.http.takeover import take_over
from webedt.kernel import ServiceContainer
from webedt.log.chunks import TailKey
from webedt.log.tail import Tail
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
    with services.streams.admitted(who) as place:
        stream = _new_stream(services, request, Until.IDLE if kind == "resume" else Until.NEVER)
        tail = services.tails.open(TailKey(session_id, deltas), stream)
        try:
            await _refresh(tail.refresh())
            given = request.headers.get("Last-Event-ID")
            beginning = stream.begin_at(request.query.get("lastEventId") if given is None else given, tail)
            if kind != "resume" or not stream.nothing_to_say(tail):
                response = await _begin(request, beginning, headers)
                return _let_go(request, response, stream, tail, place, kind)
        except BaseException:
            services.tails.close(tail, stream)
            raise
        services.tails.close(tail, stream)
        return no_content()


async def stream_run(
    services: StreamServices,
    request: web.Request,
    place: Place,
    session_id: UUID,
    run_id: UUID,
    prompt_seq: int,
    headers: dict[str, str],
) -> web.StreamResponse:
    """The stream of the POST that made a run, and that has its place already: from its `user_message` to its end."""
    stream = _new_stream(services, request, Until.RUN)
    tail = services.tails.open(TailKey(session_id, deltas=True), stream)
    try:
        await _refresh(tail.refresh())
        # Asked after the tail was opened: an end that this does not show yet will pass through the tail.
        end_seq = await services.runs.end_seq(session_id, run_id)
        response = await _begin(request, stream.begin_with_run(run_id, prompt_seq, end_seq), headers)
        return _let_go(request, response, stream, tail, place, "execute")
    except BaseException:
        services.tails.close(tail, stream)
        raise


def _new_stream(services: StreamServices, request: web.Request, until: Until) -> LogStream:
    return LogStream(services.tails, services.streams, until, is_chunked=request.version >= HttpVersion11)


async def _begin(request: web.Request, beginning: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """The head of the answer and the first frames."""
    response = web.StreamResponse(headers={**SSE_HEADERS, **headers})
    response.force_close()  # the connection is the stream's from here on, and ends with it
    await response.prepare(request)
    await response.write(beginning)
    return response


def _let_go(
    request: web.Request, response: web.StreamResponse, stream: LogStream, tail: Tail, place: Place, kind: str
) -> web.StreamResponse:
    """The stream goes on by itself, and this request is over. No await: see `take_over`."""
    transport = take_over(request, stream)
    place.hold(stream, kind)
    stream.start(transport, tail, place)
    return response


async def _refresh(refreshed: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(ATTACH_SECONDS):
            await refreshed
    except TimeoutError:
        raise Unavailable("The database does not answer.", retry_after_seconds=2) from None
