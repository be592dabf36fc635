"""Errors as `application/problem+json` (RFC 9457): the one table from code to status."""

from typing import Any

import msgspec
from aiohttp import web

from webedt.domain.errors import AppError, MethodNotAllowed, RangeNotSatisfiable, RateLimited, ShuttingDown, Unavailable
from webedt.domain.frames import MEDIA_TYPE as SSE_MEDIA_TYPE
from webedt.domain.frames import draining_frames, retry_frame

STATUS = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "gone": 410,
    "payload_too_large": 413,
    "range_not_satisfiable": 416,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}
MEDIA_TYPE = "application/problem+json"
SSE_HEADERS = {
    "Content-Type": SSE_MEDIA_TYPE,
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
REFUSED_RETRY_MS = (3000, 5000)


def bearable(request: web.BaseRequest, error: AppError) -> web.Response | None:
    """The answer to an EventSource whose stream cannot be served now, None for everybody else.

    An EventSource gives up for good on any answer but 200, so a limit, a drain or a database that is away must not be
    told with 429 or 503: it gets a clean end and a time to come back.
    """
    if request.method != "GET" or SSE_MEDIA_TYPE not in request.headers.get("Accept", ""):
        return None
    match error:
        case ShuttingDown():
            return web.Response(body=draining_frames(), headers=SSE_HEADERS)
        case Unavailable():
            return web.Response(body=retry_frame(), headers=SSE_HEADERS)
        case RateLimited():
            return web.Response(body=retry_frame(*REFUSED_RETRY_MS), headers=SSE_HEADERS)
    return None


def problem(error: AppError, request_id: str) -> web.Response:
    """The answer for `error`, with `Retry-After` in whole seconds, rounded up, where it says when to come back."""
    status = STATUS[error.code]
    body: dict[str, Any] = {
        "type": f"urn:webedt:problem:{error.code}",
        "title": error.title,
        "status": status,
        "code": error.code,
        "detail": error.detail,
        "requestId": request_id,
    }
    if error.errors:
        body["errors"] = error.errors
    response = web.Response(status=status, body=msgspec.json.encode(body), content_type=MEDIA_TYPE)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, -int(-error.retry_after_seconds // 1)))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.size}"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    response.headers["Cache-Control"] = "no-store"
    return response
