"""Routes of choosing: which providers the user can use, why not others, and who answers when a prompt names nobody."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from webedt.http.bodies import read_body
from webedt.http.context import json_response, principal
from webedt.http.routes import Route
from webedt.http.runs import Name, ProviderName
from webedt.kernel import ServiceContainer
from webedt.services.preferences import APreferences, Preferences
from webedt.services.provider_choice import AProviderChoice, ProviderView


class PreferencesPatch(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What is absent stays, null clears."""

    default_provider: ProviderName | UnsetType | None = UNSET
    default_model: Name | UnsetType | None = UNSET


class ProviderList(msgspec.Struct, rename="camel"):
    """`default` and `default_model`: of a new session's prompt that names none."""

    providers: Sequence[ProviderView]
    default: str | None
    default_model: str | None


@dataclass(frozen=True, kw_only=True)
class ProviderServices(ServiceContainer):
    choice: AProviderChoice
    preferences: APreferences


def provider_routes(services: ProviderServices) -> list[Route]:
    async def providers(request: web.Request) -> web.StreamResponse:
        options = await services.choice.options(principal(request).user.id)
        return json_response(ProviderList(options.views(), options.default, options.default_model))

    async def preferences(request: web.Request) -> web.StreamResponse:
        return json_response(await services.preferences.read(principal(request).user.id))

    async def prefer(request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request, PreferencesPatch)
        changed = await services.preferences.update(
            principal(request).user.id, provider=body.default_provider, model=body.default_model
        )
        return json_response(changed)

    return [
        Route(
            method="GET", path="/api/providers", handler=providers, summary="Which providers the user can use",
            answer=ProviderList,
        ),
        Route(
            method="GET", path="/api/user/preferences", handler=preferences, summary="The user's defaults",
            answer=Preferences,
        ),
        Route(
            method="PATCH", path="/api/user/preferences", handler=prefer, summary="Change the user's defaults",
            body=PreferencesPatch, answer=Preferences,
        ),
    ]  # fmt: skip
