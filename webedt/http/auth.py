"""Routes of accounts and logins."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from webedt.domain.users import LoginSession, Principal
from webedt.http.bodies import path_id, read_body
from webedt.http.context import json_response, no_content, principal
from webedt.http.cookies import Cookies
from webedt.http.origins import Origins
from webedt.http.routes import Access, Route
from webedt.kernel import ServiceContainer
from webedt.services.auth import AAuth

# For the description; the service judges.
EMAIL = {"pattern": r"^\s*[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s\x00-\x1f\x7f-\x9f]{1,255}\s*$"}


class Register(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    email: Annotated[str, Meta(min_length=3, max_length=254, extra_json_schema=EMAIL)]
    password: Annotated[str, Meta(min_length=8, max_length=200)]
    display_name: Annotated[str, Meta(max_length=100)] | None = None


class Login(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=200)]


class UserView(msgspec.Struct, rename="camel"):
    id: UUID
    email: str
    display_name: str | None
    created_at: datetime


class CurrentSessionView(msgspec.Struct, rename="camel"):
    id: UUID
    expires_at: datetime


class Authenticated(msgspec.Struct):
    user: UserView
    session: CurrentSessionView


class LoginView(msgspec.Struct, rename="camel"):
    id: UUID
    created_at: datetime
    expires_at: datetime
    user_agent: str | None
    current: bool


class Logins(msgspec.Struct):
    sessions: list[LoginView]


@dataclass(frozen=True, kw_only=True)
class AuthServices(ServiceContainer):
    auth: AAuth


def auth_routes(services: AuthServices, cookies: Cookies, origins: Origins) -> list[Route]:
    auth = services.auth

    async def register(request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request, Register)
        await auth.count_attempt(origins.client_address(request))
        who, token = await auth.register(body.email, body.password, body.display_name, _user_agent(request))
        return _welcome(who, token, 201)

    async def login(request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request, Login)
        await auth.count_attempt(origins.client_address(request))
        who, token = await auth.login(body.email, body.password, _user_agent(request))
        return _welcome(who, token, 200)

    async def logout(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        await auth.revoke(who.user.id, who.session.id)
        return _goodbye()

    async def logout_all(request: web.Request) -> web.StreamResponse:
        await auth.revoke_all(principal(request).user.id)
        return _goodbye()

    async def current(request: web.Request) -> web.StreamResponse:
        return json_response(_view(principal(request)))

    async def logins(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        found = await auth.logins(who.user.id)
        return json_response(Logins([_login_view(login, who) for login in found]))

    async def revoke(request: web.Request) -> web.StreamResponse:
        who = principal(request)
        login_id = path_id(request, "id", "login session")
        await auth.revoke(who.user.id, login_id)
        return _goodbye() if login_id == who.session.id else no_content()

    def _welcome(who: Principal, token: str, status: int) -> web.Response:
        response = json_response(_view(who), status)
        cookies.set(response, token, who.session.expires_at)
        return response

    def _goodbye() -> web.Response:
        response = no_content()
        cookies.clear(response)
        return response

    entrance: dict[str, Any] = {"access": Access.ENTRANCE, "answer": Authenticated}
    return [
        Route(
            method="POST", path="/api/auth/register", handler=register, summary="Make an account and log in",
            body=Register, statuses=(201,), refusals=(409,), **entrance,
        ),
        Route(
            method="POST", path="/api/auth/login", handler=login, summary="Log in", body=Login, refusals=(401,),
            **entrance,
        ),
        Route(method="POST", path="/api/auth/logout", handler=logout, summary="Log out", statuses=(204,)),
        Route(
            method="POST", path="/api/auth/logout-all", handler=logout_all, summary="End every login of the user",
            statuses=(204,),
        ),
        Route(
            method="GET", path="/api/auth/session", handler=current, summary="Who is logged in", answer=Authenticated
        ),
        Route(method="GET", path="/api/auth/sessions", handler=logins, summary="The user's logins", answer=Logins),
        Route(
            method="DELETE", path="/api/auth/sessions/{id}", handler=revoke, summary="End one login", statuses=(204,)
        ),
    ]  # fmt: skip


def _user_agent(request: web.Request) -> str | None:
    return request.headers.get("User-Agent")


def _view(who: Principal) -> Authenticated:
    user = who.user
    return Authenticated(
        UserView(user.id, user.email, user.display_name, user.created_at),
        CurrentSessionView(who.session.id, who.session.expires_at),
    )


def _login_view(login: LoginSession, who: Principal) -> LoginView:
    return LoginView(login.id, login.created_at, login.expires_at, login.user_agent, login.id == who.session.id)
