"""Errors as `application/problem+json` (RFC 9457): the one table from code to status."""

from typing import Any

import msgspec
from aiohttp import web

from webedt.domain.errors import AppError, MethodNotAllowed

STATUS = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "gone": 410,
    "payload_too_large": 413,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}
MEDIA_TYPE = "application/problem+json"


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
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    response.headers["Cache-Control"] = "no-store"
    return response
