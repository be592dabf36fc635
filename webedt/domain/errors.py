"""One family of errors for everything a caller may be told.

Raised by services, turned into `application/problem+json` (RFC 9457) by `webedt.http.problems`. Each class is one
stable `code`; the HTTP status of a code is decided there, not here.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One fault in a request body: `path` such as `$.userRequest`, `message` for a person."""

    path: str
    message: str


class AppError(Exception):
    """A refusal that the caller is meant to read.

    `detail` goes to the client as it is: never put a secret or database text in it. `retry_after_seconds`
    becomes the `Retry-After` header.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str, *, errors: Sequence[FieldError] = (), retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(AppError):
    code = "invalid_request"
    title = "The request is not valid"


class Unauthenticated(AppError):
    code = "unauthenticated"
    title = "Please log in"


class Forbidden(AppError):
    code = "forbidden"
    title = "Not allowed"


class NotFound(AppError):
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(AppError):
    code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, detail: str, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class Conflict(AppError):
    code = "conflict"
    title = "In conflict with the current state"


class Gone(AppError):
    code = "gone"
    title = "No longer available"


class PayloadTooLarge(AppError):
    code = "payload_too_large"
    title = "The body is too large"


class RangeNotSatisfiable(AppError):
    code = "range_not_satisfiable"
    title = "There is nothing in this range"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes.")
        self.size = size


class RateLimited(AppError):
    code = "rate_limited"
    title = "Too many requests"


class Unavailable(AppError):
    code = "unavailable"
    title = "Temporarily unavailable"


class ShuttingDown(Unavailable):
    """Of this replica alone: another one answers at once."""


class ConfigurationError(Exception):
    """Every fault of the configuration at once; `faults` are lines of `NAME: what is wrong`."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
