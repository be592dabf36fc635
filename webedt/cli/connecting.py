"""Which server, which login, and what a failure means to the person at the keyboard."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from webedt.cli.credentials import CredentialStore, credentials_path
from webedt.cli.errors import FAILURE, NOT_LOGGED_IN, REFUSED, UNREACHABLE, USAGE, CommandError
from webedt.cli.safe_text import one_line
from webedt.client import (
    DEFAULT_URL,
    Conflict,
    ConnectionFailed,
    Gone,
    InvalidRequest,
    NotFound,
    Patience,
    ProblemError,
    RateLimited,
    Unauthenticated,
    Unavailable,
    WebEDTClient,
    WebEDTError,
)


def server_url() -> str:
    """`WEBEDT_URL` in one spelling. Raises CommandError if it is no server's address."""
    return server_address(os.environ.get("WEBEDT_URL", "").strip() or DEFAULT_URL, "WEBEDT_URL")


def server_address(given: str, name: str) -> str:
    """`given` in one spelling (no trailing slash, lower-case host). Raises CommandError that names `name`."""
    try:
        parts = urlsplit(given)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise CommandError(f"{name} is not a server's address: {given!r} (try {DEFAULT_URL})", exit_status=USAGE)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def stored_logins() -> CredentialStore:
    """The logins of the person who runs the command."""
    return CredentialStore(credentials_path(os.environ))


def open_client(url: str, *, patience_seconds: float | None = None) -> WebEDTClient:
    """A client with the login for `url`. Raises CommandError when there is none.

    `patience_seconds` replaces both of the client's own limits for enduring an unreachable server.
    """
    token = os.environ.get("WEBEDT_TOKEN", "").strip() or stored_logins().token_for(url)
    if not token:
        raise CommandError(_not_logged_in(url), exit_status=NOT_LOGGED_IN)
    patience = Patience()
    if patience_seconds is not None:
        patience = Patience(before_accepted_seconds=patience_seconds, give_up_after_seconds=patience_seconds)
    return WebEDTClient(url, token, patience=patience)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn the client's exceptions into CommandErrors that say what to do next."""
    try:
        yield
    except WebEDTError as error:
        raise CommandError(_explain(error, url), exit_status=_status_of(error)) from error


def _status_of(error: WebEDTError) -> int:
    if isinstance(error, Unauthenticated):
        return NOT_LOGGED_IN
    if not isinstance(error, ProblemError) or isinstance(error, Unavailable):
        return UNREACHABLE
    return REFUSED if error.status < 500 else FAILURE


def _explain(error: WebEDTError, url: str) -> str:
    if isinstance(error, ConnectionFailed):
        return (
            f"cannot reach {url}: {error.reason}. Is the server running there? "
            "Start one with `webedt dev`, or set WEBEDT_URL."
        )
    if isinstance(error, Unauthenticated):
        return _not_logged_in(url)
    if not isinstance(error, ProblemError):
        return f"{error}. Is WEBEDT_URL right?"
    said = one_line(str(error)).rstrip(".")
    # A fault of a field that the sentence tells already is not told again.
    faults = [fault for fault in map(_field_fault, error.errors) if fault and not _told(fault, said)]
    sentence = "; ".join([said, *(one_line(fault).rstrip(".") for fault in faults)])
    return f"{sentence}{_advice(error)}."


def _advice(error: ProblemError) -> str:
    """What to do next, or what to ask for."""
    if isinstance(error, NotFound | Gone):
        return ". `webedt sessions` lists what is yours"
    if isinstance(error, InvalidRequest) and any("provider" in _field_fault(fault) for fault in error.errors):
        return ". `webedt providers` says who can answer"
    if isinstance(error, Conflict) and "busy" in str(error):
        return ": wait, or use --on-busy queue or --on-busy interrupt"
    if error.retry_after_seconds is not None:
        return f". Try again in {error.retry_after_seconds:.0f} s"
    if isinstance(error, RateLimited):
        return ". Try again in a minute"
    return f" (request {one_line(error.request_id)})" if error.request_id and error.status >= 500 else ""


def _told(fault: str, said: str) -> bool:
    return fault.split(": ", 1)[-1].rstrip(".") in said


def _field_fault(fault: Any) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    where = fault.get("field") or fault.get("path") or fault.get("pointer")
    what = fault.get("message") or fault.get("detail") or ""
    return f"{where}: {what}" if where and what else str(where or what)


def _not_logged_in(url: str) -> str:
    return f"not logged in to {url}, or not any more: run `webedt login EMAIL` (--register for a new account)"
