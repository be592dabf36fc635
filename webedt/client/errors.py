"""Everything that can go wrong between this client and a server, as one family of exceptions."""

from collections.abc import Mapping
from typing import Any


class WebEDTError(Exception):
    """The base of all errors of this package; its text is one line meant for a person."""


class ConnectionFailed(WebEDTError):
    """The server could not be reached, or the connection broke, or it stayed silent beyond the deadline."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no connection to {url}: {reason}")
        self.url = url
        self.reason = reason


class ProtocolError(WebEDTError):
    """Something answered, but not in the way of a WebEDT server."""


class MissingEvents(ProtocolError):
    """The stream left events out: it jumped from `after`, the last good one, to `next_id`, and nothing explains it."""

    def __init__(self, after: int, next_id: int) -> None:
        super().__init__(f"events are missing: {after} was followed by {next_id}")
        self.after = after
        self.next_id = next_id


class ProblemError(WebEDTError):
    """An answer of status 400 or above, read from `application/problem+json` as far as it was that.

    `code` is the stable name of the fault, `detail` a sentence, `request_id` what the server's log knows it by,
    `errors` the faults of single fields, `retry_after_seconds` what `Retry-After` said.
    """

    def __init__(
        self,
        status: int,
        *,
        title: str = "",
        code: str = "",
        detail: str = "",
        request_id: str | None = None,
        errors: list[Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail or title or f"the server answered {status}")
        self.status = status
        self.title = title
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = errors or []
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(ProblemError):
    """400: the request is malformed."""


class Unauthenticated(ProblemError):
    """401: no login, or one that has ended, or a wrong password."""


class Forbidden(ProblemError):
    """403: refused for its origin."""


class NotFound(ProblemError):
    """404: it does not exist, or belongs to somebody else."""


class Conflict(ProblemError):
    """409: the session is busy, nothing is running, the address is taken, the key was used for something else."""


class Gone(ProblemError):
    """410: it existed and has expired."""


class PayloadTooLarge(ProblemError):
    """413: the body is larger than the server takes."""


class RateLimited(ProblemError):
    """429: too many requests; see `retry_after_seconds`."""


class Unavailable(ProblemError):
    """502, 503 or 504: not now; see `retry_after_seconds`."""


def problem_from_answer(status: int, headers: Mapping[str, str], body: Any) -> ProblemError:
    """The exception for an answer of status >= 400; `body` is its decoded JSON, or None if it was none."""
    fields = body if isinstance(body, dict) else {}
    errors = fields.get("errors")
    return _class_of(status)(
        status,
        title=_text(fields.get("title")),
        code=_text(fields.get("code")),
        detail=_text(fields.get("detail")),
        request_id=_text(fields.get("requestId")) or headers.get("X-Request-ID"),
        errors=errors if isinstance(errors, list) else None,
        retry_after_seconds=_seconds(headers.get("Retry-After")),
    )


def _class_of(status: int) -> type[ProblemError]:
    classes: dict[int, type[ProblemError]] = {
        400: InvalidRequest,
        401: Unauthenticated,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: Gone,
        413: PayloadTooLarge,
        429: RateLimited,
        502: Unavailable,
        503: Unavailable,
        504: Unavailable,
    }
    return classes.get(status, ProblemError)


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _seconds(value: str | None) -> float | None:
    # The date form of Retry-After is not read: this server sends seconds, and clocks differ.
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
