"""A span for every request, which its `traceparent` makes part of the caller's trace. Put in place only while tracing
is on; then around everything else, so that the log lines of a request carry the ids of its trace.

A stream's span ends when the stream begins: it may go on for days, and what it sends is no longer this request's work.

Of the path only the template and a session's id are told, and nothing of query, headers and body: a share token is a
login, and the name of a file is somebody's secret.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from aiohttp import web

from webedt.http.context import REQUEST_ID
from webedt.http.middleware import METHODS, QUIET_ROUTES, UNMATCHED
from webedt.telemetry.tracing import ASpan, ATracing, Attribute

SPAN = web.RequestKey("span", ASpan)
OF_SESSION = ("/api/sessions/{id}", "/api/resume/{id}")
STREAM = "text/event-stream"


def trace_requests(application: web.Application, tracing: ATracing) -> None:
    """Before the application starts."""

    @web.middleware
    async def traced(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = UNMATCHED if resource is None else resource.canonical
        if route in QUIET_ROUTES and "traceparent" not in request.headers:
            return await handler(request)  # probes and scrapes would be most of what there is
        method = request.method if request.method in METHODS else "_OTHER"
        attributes: dict[str, Attribute] = {"http.request.method": method, "url.scheme": request.scheme}
        if resource is not None:
            attributes["http.route"] = route
        if route.startswith(OF_SESSION) and (session_id := _uuid(request.match_info["id"])) is not None:
            attributes["webedt.session.id"] = session_id
        name = method if resource is None else f"{method} {route}"
        caller = {"traceparent": request.headers.get("traceparent", "")}
        with tracing.start(name, attributes, kind="server", parent=caller) as span:
            request[SPAN] = span
            try:
                response = await handler(request)
            finally:
                span.set("webedt.request.id", request.get(REQUEST_ID, ""))
            _answered(span, response)
            return response

    async def begun(request: web.BaseRequest, response: web.StreamResponse) -> None:
        span = request.get(SPAN)
        if span is not None and response.content_type == STREAM:
            span.set("webedt.request.id", request.get(REQUEST_ID, ""))
            _answered(span, response)
            span.end()

    application.middlewares.insert(0, traced)
    application.on_response_prepare.append(begun)


def _answered(span: ASpan, response: web.StreamResponse) -> None:
    span.set("http.response.status_code", response.status)
    if response.status >= 500:
        span.fail(str(response.status))
    for header, name in (("X-Session-ID", "webedt.session.id"), ("X-Run-ID", "webedt.run.id")):
        if header in response.headers:
            span.set(name, response.headers[header])


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
