"""Routes that start and stop runs."""

import hashlib
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from webedt.config import PROVIDERS
from webedt.domain.errors import FieldError, InvalidRequest, NotFound, Unavailable
from webedt.domain.prompts import Prompt, prompt_blocks
from webedt.domain.runs import Accepted, OnBusy
from webedt.http.bodies import path_id, read_body, read_optional_body
from webedt.http.context import json_response, principal
from webedt.http.log_stream import EVENTS as LOG_EVENTS
from webedt.http.routes import Parameter, Route
from webedt.http.streaming import StreamServices, stream_run
from webedt.services.runs import NewPrompt
from webedt.services.sessions import no_such_session

MAX_KEY_LENGTH = 200
_KEY = re.compile(r"[\x20-\x7e]{1,200}")
# For the description: https, a host, no credentials.
REPOSITORY = r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[^@\s]*)?$"
Name = Annotated[str, Meta(min_length=1, max_length=200)]
# The names there are, for the description; which of them are configured, the service knows.
ProviderName = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema={"enum": list(PROVIDERS)})]


class GitHub(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    repo_url: Annotated[str, Meta(min_length=1, max_length=500, extra_json_schema={"pattern": REPOSITORY})]
    branch: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class Execute(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    user_request: Prompt
    website_session_id: str | None = None
    provider: ProviderName | None = None
    model: Name | None = None
    github: GitHub | None = None
    on_busy: OnBusy = "queue"


class Send(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    message: Prompt
    on_busy: OnBusy = "queue"


class Interrupt(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    run_id: str | None = None


class AcceptedView(msgspec.Struct, rename="camel"):
    session_id: UUID
    run_id: UUID
    status: str


class SentView(msgspec.Struct, rename="camel"):
    session_id: UUID
    run_id: UUID
    status: str
    position: int


class InterruptView(msgspec.Struct, rename="camel"):
    session_id: UUID
    run_id: UUID
    status: Literal["interrupting"] = "interrupting"


IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    place="header",
    doc="The same user, key and body within 24 hours means the same run.",
    schema={"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": r"^[\x20-\x7e]+$"},
)
PREFER = Parameter(
    name="Prefer", place="header", doc="`respond-async`: 202 instead of a stream.", schema={"type": "string"}
)


def run_routes(services: StreamServices) -> list[Route]:
    runs = services.runs

    async def execute(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        body, plain = await read_body(request, Execute)
        github = body.github
        prompt = NewPrompt(
            user_id=who.user.id,
            blocks=prompt_blocks(body.user_request, "userRequest"),
            session_id=None if body.website_session_id is None else _session_id(body.website_session_id),
            provider=body.provider,
            model=body.model,
            repository_url=None if github is None else _repository(github.repo_url),
            branch=None if github is None else github.branch,
            on_busy=body.on_busy,
            **_idempotency(request, "execute-remote", plain),
        )
        if _prefers_async(request):
            accepted, headers = await _accept(prompt)
            view = AcceptedView(accepted.session_id, accepted.run_id, accepted.status)
            return json_response(view, 202, {**headers, "Preference-Applied": "respond-async"})
        # Before the run is made: one that nobody may follow is not begun.
        with services.streams.admitted(who) as place:
            accepted, headers = await _accept(prompt)
            try:
                return await stream_run(
                    services, request, place, accepted.session_id, accepted.run_id, accepted.prompt_seq, headers
                )
            except Unavailable:
                # The run is there, only its stream cannot begin: an error would invite to make a second one.
                return json_response(AcceptedView(accepted.session_id, accepted.run_id, accepted.status), 202, headers)

    async def _accept(prompt: NewPrompt) -> tuple[Accepted, dict[str, str]]:
        # Carried to its end even if the client leaves: the run does not depend on the connection.
        accepted = await services.streams.outlive(runs.accept(prompt))
        return accepted, {
            "X-Session-ID": str(accepted.session_id),
            "X-Run-ID": str(accepted.run_id),
            "Location": f"/api/resume/{accepted.session_id}",
        }

    async def send(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        session_id = path_id(request, "id", "session")
        body, plain = await read_body(request, Send)
        prompt = NewPrompt(
            user_id=who.user.id,
            blocks=prompt_blocks(body.message, "message"),
            session_id=session_id,
            on_busy=body.on_busy,
            **_idempotency(request, f"send/{session_id}", plain),
        )
        return _sent(await runs.accept(prompt))

    async def interrupt(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        session_id = path_id(request, "id", "session")
        body = await read_optional_body(request, Interrupt)
        run_id = None if body.run_id is None else _run_id(body.run_id)
        return json_response(InterruptView(session_id, await runs.interrupt(who.user.id, session_id, run_id)), 202)

    return [
        Route(
            method="POST", path="/api/execute-remote", handler=execute, summary="Start a run and stream its events",
            body=Execute, answer=AcceptedView, media_type="text/event-stream", statuses=(200, 202), streams=True,
            refusals=(404, 409), events=LOG_EVENTS, parameters=(IDEMPOTENCY_KEY, PREFER),
        ),
        Route(
            method="POST", path="/api/sessions/{id}/send", handler=send, summary="Send a follow-up prompt",
            body=Send, answer=SentView, statuses=(202,), refusals=(409,), parameters=(IDEMPOTENCY_KEY,),
        ),
        Route(
            method="POST", path="/api/sessions/{id}/interrupt", handler=interrupt, summary="Interrupt a run",
            body=Interrupt, body_required=False, answer=InterruptView, statuses=(202,), refusals=(409,),
        ),
    ]  # fmt: skip


def _sent(accepted: Accepted) -> web.Response:
    view = SentView(accepted.session_id, accepted.run_id, accepted.status, accepted.position)
    return json_response(view, 202, {"Location": f"/api/resume/{accepted.session_id}"})


def _prefers_async(request: web.Request) -> bool:
    preferences = ",".join(request.headers.getall("Prefer", ())).lower().split(",")
    return any(item.split(";")[0].strip() == "respond-async" for item in preferences)


def _idempotency(request: web.Request, route: str, body: Any) -> dict[str, Any]:
    """Bodies are compared as JSON: neither spaces nor the order of fields make another request."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return {}
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} printable ASCII characters.",
            errors=[FieldError("Idempotency-Key", f"1 to {MAX_KEY_LENGTH} printable ASCII characters")],
        )
    canonical = msgspec.json.encode(body, order="sorted")
    return {"idempotency_key": key, "route": route, "body_hash": hashlib.sha256(canonical).digest()}


def _session_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise no_such_session() from None


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such run.") from None


def _repository(url: str) -> str:
    try:
        parts = urlsplit(url)
        proper = parts.scheme == "https" and parts.hostname and not parts.username and not parts.password
    except ValueError:
        proper = False
    if not proper:
        raise InvalidRequest(
            "github.repoUrl must be an https URL without credentials.",
            errors=[FieldError("$.github.repoUrl", "must be an https URL without credentials")],
        )
    return url
