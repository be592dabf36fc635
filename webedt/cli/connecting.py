"""Which server, which login, and what a failure means to the person at the keyboard."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from webedt.cli.credentials import CredentialStore, credentials_path
from webedt.cli.errors import USAGE, CommandError
from webedt.client import (
    DEFAULT_URL,
    ConnectionFailed,
    NotFound,
    Patience,
    ProblemError,
    Unauthenticated,
    WebEDTClient,
    WebEDTError,
)


def server_url() -> str:
    """`WEBEDT_URL` in one spelling (no trailing slash, lower-case host). Raises CommandError if it is none."""
    given = os.environ.get("WEBEDT_URL", "").strip() or DEFAULT_URL
    try:
        parts = urlsplit(given)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise CommandError(f"WEBEDT_URL is not a server's address: {given!r} (try {DEFAULT_URL})", exit_status=USAGE)
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
        raise CommandError(_not_logged_in(url))
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
        raise CommandError(_explain(error, url)) from error


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
    said = str(error).rstrip(".")
    # A fault of a field that the sentence tells already is not told again.
    faults = [fault for fault in map(_field_fault, error.errors) if fault and not _told(fault, said)]
    sentence = "; ".join([said, *(fault.rstrip(".") for fault in faults)])
    if isinstance(error, NotFound):
        return f"{sentence}. `webedt sessions` lists what is yours."
    if error.retry_after_seconds is not None:
        return f"{sentence}. Try again in {error.retry_after_seconds:.0f} s."
    known_by = f" (request {error.request_id})" if error.request_id and error.status >= 500 else ""
    return f"{sentence}{known_by}."


def _told(fault: str, said: str) -> bool:
    return fault.split(": ", 1)[-1].rstrip(".") in said


def _field_fault(fault: Any) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    where = fault.get("field") or fault.get("path") or fault.get("pointer")
    what = fault.get("message") or fault.get("detail") or ""
    return f"{where}: {what}" if where and what else str(where or what)


def _not_logged_in(url: str) -> str:
    return f"not logged in to {url}: run `webedt login EMAIL` (with --register for a new account)"
