"""The operations of a WebEDT server as methods of one object."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from webedt.client.account import Account
from webedt.client.errors import ConnectionFailed, ProtocolError, RateLimited, Unavailable
from webedt.client.files import Files
from webedt.client.retrying import Backoff, Patience
from webedt.client.streams import EventStream, Prompt
from webedt.client.transport import Answer, Deadlines, Transport

DEFAULT_URL = "http://127.0.0.1:3001"
SESSION_COOKIE = "webedt_session"


@dataclass(frozen=True, slots=True)
class Login:
    """A new login: the Bearer token, the address it belongs to, and when it ends (ISO 8601, UTC)."""

    token: str
    email: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class RunReference:
    """A run as the server's 202 names it; `status` is `running`, `queued` or `interrupting`."""

    session_id: str
    run_id: str
    status: str


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page of the session list, newest first: sessions as the wire contract shapes them, and the next cursor."""

    sessions: list[dict[str, Any]]
    next_cursor: str | None


class WebEDTClient:
    """One server, one login. Use it as an async context manager.

    `account` is the user's, `files` are those of sessions.

    Every method may raise ConnectionFailed, ProtocolError or a ProblemError (`Unauthenticated`, `NotFound`, …).
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._transport = Transport(base_url, token, deadlines or Deadlines())
        self._patience = patience or Patience()
        self.account = Account(self._transport)
        self.files = Files(self._transport)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, traceback)

    async def register(self, email: str, password: str, *, display_name: str | None = None) -> Login:
        """Create an account and use its login from here on. Raises Conflict if the address is taken."""
        body = {"email": email, "password": password} | ({"displayName": display_name} if display_name else {})
        return await self._log_in("/api/auth/register", body)

    async def login(self, email: str, password: str) -> Login:
        """Log in and use it from here on. Raises Unauthenticated for an unknown address and a wrong password alike."""
        return await self._log_in("/api/auth/login", {"email": email, "password": password})

    def execute(
        self,
        prompt: str | list[dict[str, Any]],
        *,
        session_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        repository_url: str | None = None,
        branch: str | None = None,
        on_busy: str | None = None,
        idempotency_key: str | None = None,
    ) -> EventStream:
        """A run and the stream of its events; the request is sent when the iteration begins.

        `prompt` is text or content blocks, `on_busy` one of `queue`, `interrupt`, `reject`. The iteration raises
        Conflict when the session is busy and `reject` was asked for.
        """
        body = _execution(prompt, session_id, provider, model, repository_url, branch, on_busy)
        start = Prompt(body, idempotency_key or str(uuid.uuid4()))
        return EventStream(self._transport, self._patience, prompt=start)

    async def start(
        self,
        prompt: str | list[dict[str, Any]],
        *,
        session_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        repository_url: str | None = None,
        branch: str | None = None,
        on_busy: str | None = None,
        idempotency_key: str | None = None,
    ) -> RunReference:
        """The same run, without following it. Repeated under the same key until it is answered."""
        body = _execution(prompt, session_id, provider, model, repository_url, branch, on_busy)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4()), "Prefer": "respond-async"}
        return _run_reference(await self._post_repeatedly("/api/execute-remote", body, headers))

    def resume(self, session_id: str, after: int = 0, *, run_id: str | None = None) -> EventStream:
        """The events of a session after the id `after`, then live; of one run only, and to its end, with `run_id`."""
        return EventStream(self._transport, self._patience, session_id=session_id, run_id=run_id, after=after)

    async def send(
        self,
        session_id: str,
        message: str | list[dict[str, Any]],
        *,
        on_busy: str | None = None,
        idempotency_key: str | None = None,
    ) -> RunReference:
        """Add a prompt to a session without following it. Repeated under the same key until it is answered."""
        body = {"message": message, **_given({"onBusy": on_busy})}
        key = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return _run_reference(await self._post_repeatedly(f"{_session_path(session_id)}/send", body, key))

    async def interrupt(self, session_id: str, run_id: str | None = None) -> RunReference:
        """Ask for the end of a run. Raises Conflict if there is none, or if `run_id` has ended.

        Without `run_id` the request is sent once only: a repetition could hit the next run of the queue.
        """
        path = f"{_session_path(session_id)}/interrupt"
        if run_id is None:
            return _run_reference(await self._transport.fetch("POST", path, body={}))
        return _run_reference(await self._post_repeatedly(path, {"runId": run_id}, {}))

    async def sessions(
        self, *, status: str | None = None, text: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> SessionPage:
        """One page of the caller's sessions, of one status or with `text` in their title if given."""
        query = {"limit": str(limit), **_given({"status": status, "q": text, "cursor": cursor})}
        body = (await self._transport.fetch("GET", "/api/sessions", query=query)).body
        sessions, next_cursor = body.get("sessions"), body.get("nextCursor")
        if not isinstance(sessions, list):
            raise ProtocolError("the list of sessions is missing from the answer")
        return SessionPage(sessions, next_cursor if isinstance(next_cursor, str) else None)

    async def share(self, session_id: str, *, days: int | None = None) -> dict[str, Any]:
        """Let whoever has the link read the session: `{"shareToken", "url", "expiresAt"}`."""
        body = {} if days is None else {"expiresInDays": days}
        return (await self._transport.fetch("POST", f"{_session_path(session_id)}/share", body=body)).body

    async def unshare(self, session_id: str) -> None:
        """End all links to the session, and whatever is read through them."""
        await self._transport.fetch("DELETE", f"{_session_path(session_id)}/share")

    async def _log_in(self, path: str, body: Mapping[str, str]) -> Login:
        answer = await self._transport.fetch("POST", path, body=body)
        token = answer.cookies.get(SESSION_COOKIE)
        if not token:
            raise ProtocolError(f"{self._transport.base_url} accepted the login but sent no {SESSION_COOKIE} cookie")
        self._transport.token = token
        user, session = answer.body.get("user") or {}, answer.body.get("session") or {}
        return Login(token, str(user.get("email") or body["email"]), str(session.get("expiresAt") or ""))

    async def _post_repeatedly(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        backoff = Backoff(self._patience)
        while True:
            try:
                return await self._transport.fetch("POST", path, body=body, headers=headers)
            except ConnectionFailed as error:
                retry = backoff.next_retry(error, None)
            except (RateLimited, Unavailable) as error:
                retry = backoff.next_retry(error, error.retry_after_seconds)
            await asyncio.sleep(retry.delay_seconds)


def _session_path(session_id: str) -> str:
    return f"/api/sessions/{quote(session_id, safe='')}"


def _execution(
    prompt: str | list[dict[str, Any]],
    session_id: str | None,
    provider: str | None,
    model: str | None,
    repository_url: str | None,
    branch: str | None,
    on_busy: str | None,
) -> dict[str, Any]:
    optional = {"websiteSessionId": session_id, "provider": provider, "model": model, "onBusy": on_busy}
    repository = {"github": {"repoUrl": repository_url, **_given({"branch": branch})}} if repository_url else {}
    return {"userRequest": prompt, **_given(optional), **repository}


def _given(optional: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in optional.items() if value is not None}


def _run_reference(answer: Answer) -> RunReference:
    session_id, run_id, status = (answer.body.get(name) for name in ("sessionId", "runId", "status"))
    if not (isinstance(session_id, str) and isinstance(run_id, str) and isinstance(status, str)):
        raise ProtocolError("the answer does not name a session, a run and a status")
    return RunReference(session_id, run_id, status)
