"""What a request carries through the handlers: its id and its scope of services, with the user in it."""

from abc import abstractmethod
from typing import Any

import msgspec
from aiohttp import web

from webedt.domain.users import Principal
from webedt.kernel import AService, ServiceScope

REQUEST_ID = web.RequestKey("request_id", str)
SCOPE = web.RequestKey("scope", ServiceScope)


class AUserContext(AService):
    """Who makes the request. Stands only in a request's scope, never in the provider."""

    @property
    @abstractmethod
    def principal(self) -> Principal: ...


class UserContext(AUserContext):
    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @property
    def principal(self) -> Principal:
        return self._principal


def principal(request: web.Request) -> Principal:
    """The user of a route with `Access.USER`."""
    return request[SCOPE].get(AUserContext).principal


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`value` as JSON; never stored by caches, for every answer depends on who asks."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=all_headers
    )


def no_content() -> web.Response:
    return web.Response(status=204, headers={"Cache-Control": "no-store"})
