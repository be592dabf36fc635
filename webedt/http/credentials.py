"""Routes of users' own API keys: put in, replaced, removed, and never given out again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from webedt.domain.secrets import Secret
from webedt.http.bodies import read_body
from webedt.http.context import json_response, no_content, principal
from webedt.http.routes import Parameter, Route
from webedt.kernel import ServiceContainer
from webedt.services.credentials import MAX_KEY_LENGTH, ACredentials, CredentialView

ApiKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_KEY_LENGTH,
        description="Printable ASCII without spaces.",
        # `pattern` only describes: the service refuses, in better words.
        extra_json_schema={"format": "password", "writeOnly": True, "pattern": r"^[\x21-\x7e]+$"},
    ),
]


PROVIDER = Parameter(
    name="provider",
    place="path",
    doc="Who takes the key.",
    schema={"type": "string", "enum": ["anthropic", "claude", "openai"]},
)


class NewCredential(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_key: ApiKey

    def __repr__(self) -> str:
        """Whoever logs a body does not log the key."""
        return "NewCredential()"


class StoredCredentials(msgspec.Struct):
    providers: Sequence[CredentialView]


@dataclass(frozen=True, kw_only=True)
class CredentialServices(ServiceContainer):
    credentials: ACredentials


def credential_routes(services: CredentialServices) -> list[Route]:
    credentials = services.credentials

    async def stored(request: web.Request) -> web.StreamResponse:
        return json_response(StoredCredentials(await credentials.list(principal(request).user.id)))

    async def store(request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request, NewCredential)
        await credentials.store(principal(request).user.id, request.match_info["provider"], Secret(body.api_key))
        return no_content()

    async def remove(request: web.Request) -> web.StreamResponse:
        await credentials.remove(principal(request).user.id, request.match_info["provider"])
        return no_content()

    return [
        Route(
            method="GET", path="/api/user/credentials", handler=stored, summary="Which API keys the user has stored",
            answer=StoredCredentials,
        ),
        Route(
            method="PUT", path="/api/user/credentials/{provider}", handler=store, summary="Store an API key",
            body=NewCredential, statuses=(204,), parameters=(PROVIDER,),
        ),
        Route(
            method="DELETE", path="/api/user/credentials/{provider}", handler=remove, summary="Remove an API key",
            statuses=(204,), parameters=(PROVIDER,),
        ),
    ]  # fmt: skip
