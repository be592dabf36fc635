"""Faults that the fake Managed Agents API is told to have, each for a number of requests."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ENDPOINTS = frozenset(
    {"create", "list_sessions", "retrieve", "update", "delete", "archive", "send", "list", "stream"}
    | {"resources", "resource", "add_resource", "update_resource", "delete_resource"}
)
KINDS = frozenset(
    {"status", "refuse", "lose", "slow", "hang", "cut", "end", "silent", "duplicate", "error_event", "stall_headers"}
)
ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass
class Fault:
    """What befalls the next `count` requests to an endpoint ("*": any), after `skip` of them went well.

    status       answered with `status`, and `retry_after` seconds as a header, without being carried out
    refuse       the connection is aborted before the request is carried out
    lose         carried out, but the connection is aborted instead of an answer
    slow         carried out `seconds` late
    hang         carried out, but the answer never comes
    stall_headers  not carried out and never answered
    cut          the stream is aborted after `after` events
    end          the stream ends cleanly after `after` events
    silent       nothing more comes from the stream after `after` events, not even a ping, and it stays open
    duplicate    the event after `after` others is delivered twice
    error_event  after `after` events the stream carries an error (`status` says which) and ends
    """

    endpoint: str
    kind: str
    count: int = 1
    skip: int = 0
    status: int = 500
    retry_after: float | None = None
    seconds: float = 0.0
    after: int = 0
    session_id: str | None = None
    message: str = "A fault on request"
    hit: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.endpoint not in ENDPOINTS | {"*"} or self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind} of {self.endpoint}")

    def meets(self, endpoint: str, session_id: str | None) -> bool:
        """Whether this request is one of those meant; it is counted."""
        if self.endpoint not in ("*", endpoint) or self.session_id not in (None, session_id):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.hit >= self.count:
            return False
        self.hit += 1
        return True


class Refused(Exception):
    """An answer in Anthropic's error format."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        kind = ERROR_TYPES.get(self.status, "api_error" if self.status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": str(self)}}


def abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def before(fault: Fault | None, request: web.Request) -> None:
    """The faults in front of the work."""
    if fault is None:
        return
    if fault.kind == "status":
        headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
        raise Refused(fault.status, fault.message, headers)
    if fault.kind == "refuse":
        abort(request)
        raise ConnectionResetError
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "stall_headers":
        await asyncio.Event().wait()


async def after(fault: Fault | None, request: web.Request) -> None:
    """The faults between the work and its answer."""
    if fault is not None and fault.kind == "lose":
        abort(request)
        raise ConnectionResetError
    if fault is not None and fault.kind == "hang":
        await asyncio.Event().wait()
