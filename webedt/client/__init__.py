"""A client for a WebEDT server: log in, start runs, follow their events through any interruption.

Knows the wire contract only; it shares no code with the server, so that it may talk to another version of it.
"""

from webedt.client.client import DEFAULT_URL, Login, RunReference, SessionPage, WebEDTClient
from webedt.client.errors import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    InvalidRequest,
    MissingEvents,
    NotFound,
    ProblemError,
    ProtocolError,
    RateLimited,
    Unauthenticated,
    Unavailable,
    WebEDTError,
)
from webedt.client.events import TERMINAL_TYPES, Event
from webedt.client.retrying import Patience, Retry
from webedt.client.streams import EventStream

__all__ = [
    "DEFAULT_URL",
    "TERMINAL_TYPES",
    "Conflict",
    "ConnectionFailed",
    "Event",
    "EventStream",
    "Forbidden",
    "Gone",
    "InvalidRequest",
    "Login",
    "MissingEvents",
    "NotFound",
    "Patience",
    "ProblemError",
    "ProtocolError",
    "RateLimited",
    "Retry",
    "RunReference",
    "SessionPage",
    "Unauthenticated",
    "Unavailable",
    "WebEDTClient",
    "WebEDTError",
]
