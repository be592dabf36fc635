"""What every request passes, in one place and in this order:

request id → route → CORS → is the database there? → who is it? → may this page ask? → handler → problem or answer →
metrics and log line. One middleware, because each would keep a frame alive for as long as a stream is open.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web

from webedt.database.interface import ADatabase
from webedt.domain.errors import (
    AppError,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from webedt.domain.users import Principal
from webedt.fleet.identity import Identity
from webedt.http.context import REQUEST_ID, SCOPE, AUserContext, UserContext
from webedt.http.cookies import COOKIE, Cookies
from webedt.http.doorkeeper import Doorkeeper
from webedt.http.lifecycle import Lifecycle
from webedt.http.origins import Origins
from webedt.http.problems import bearable, problem
from webedt.http.routes import Access, Route
from webedt.kernel import Background, ServiceProvider
from webedt.services.auth import AAuth
from webedt.telemetry.logging import bind_request
from webedt.telemetry.metrics import Metrics

_SANE_ID = re.compile(r"[\x21-\x7e]{1,128}")
UNMATCHED = "unmatched"
QUIET_ROUTES = frozenset(
    {"/health", "/live", "/ready", "/metrics", "/", "/api/docs", "/assets/{name}", "/shared/{token}"}
)
PREPARED = web.RequestKey("prepared", bool)
EXTENDED = web.RequestKey("extended", tuple[Principal, str])
SERVER = "webedt"
RETRY_AFTER_SECONDS = 2.0
FINISH_SECONDS = 5.0
# A page cannot be framed, nothing is guessed from content, nothing is told to other hosts.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class InternalError(AppError):
    """What a client is told of a fault of ours: nothing but the request id."""


class Pipeline:
    def __init__(
        self,
        provider: ServiceProvider,
        identity: Identity,
        metrics: Metrics,
        origins: Origins,
        cookies: Cookies,
        lifecycle: Lifecycle,
        doorkeeper: Doorkeeper,
        *,
        production: bool,
    ) -> None:
        self._provider = provider
        self._database = provider.get(ADatabase)
        self._auth = provider.get(AAuth)
        self._identity = identity
        self._metrics = metrics
        self._origins = origins
        self._cookies = cookies
        self._lifecycle = lifecycle
        self._doorkeeper = doorkeeper
        self._production = production
        self._routes: dict[tuple[str, str], Route] = {}
        self._finishing = Background()
        self._log = structlog.get_logger(component="http")

    def add(self, route: Route) -> None:
        self._routes[route.method, route.path] = route

    async def finish(self) -> None:
        """Let handlers that outlived their client come to their end."""
        await self._finishing.drain(FINISH_SECONDS)
        await self._finishing.stop()

    async def prepare(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """The headers of every answer; called by aiohttp just before the first byte."""
        headers = response.headers
        request[PREPARED] = True
        headers["X-Request-ID"] = request.get(REQUEST_ID) or new_request_id(request)
        headers["X-Container-ID"] = self._identity.container_id
        headers["Server"] = SERVER
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self._production:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if EXTENDED in request and COOKIE not in response.cookies:
            # Here, so that streams renew it too; what a handler did to the cookie (logout) stands.
            who, token = request[EXTENDED]
            headers.add("Set-Cookie", self._cookies.header(token, who.session.expires_at))
        if isinstance(request, web.Request):
            for name, value in self._origins.cross_origin_headers(request).items():
                headers[name] = value
            if request.path.startswith("/api/"):
                headers.add("Vary", "Origin")

    async def prepare_unparsed(self, request: web.Request, response: web.StreamResponse) -> None:
        """The answer to what is not HTTP, such as a header beyond every measure: a problem like every other."""
        request[REQUEST_ID] = new_request_id(request)
        refusal = problem(InvalidRequest("This is not a proper HTTP request."), request[REQUEST_ID])
        if isinstance(response, web.Response) and response.status == 400 and isinstance(refusal.body, bytes):
            response.headers.update(refusal.headers)
            response.body = refusal.body
            # Both were set for the body before.
            response.headers["Content-Length"] = str(len(refusal.body))
            request.writer.length = len(refusal.body)
        await self.prepare(request, response)

    @property
    def middleware(self) -> Any:
        @web.middleware
        async def run(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            request[REQUEST_ID] = new_request_id(request)
            self._doorkeeper.saw(request.protocol)
            resource = request.match_info.route.resource
            label = resource.canonical if resource is not None else UNMATCHED
            route = self._routes.get(("GET" if request.method == "HEAD" else request.method, label))
            started = time.perf_counter()
            status = 499
            with bind_request(request_id=request[REQUEST_ID]):
                try:
                    response = await self._answer(request, route)
                    status = response.status
                    return response
                except Exception as error:
                    if isinstance(error, ConnectionResetError) and _is_gone(request):
                        raise asyncio.CancelledError from None  # nobody is left to be answered
                    response = self._refuse(request, label, route, error)
                    status = response.status
                    return response
                finally:
                    self._record(request, label, status, time.perf_counter() - started)

        return run

    def _refuse(self, request: web.Request, label: str, route: Route | None, error: Exception) -> web.Response:
        if not isinstance(error, AppError):
            # The route, here as everywhere, and never the path: the token of a share link is part of it.
            self._log.error("request_failed", route=label, exc_info=error)
            error = InternalError("Something went wrong here.")
        if request.get(PREPARED) and request.transport is not None:
            # A stream has begun: another answer into it would be garbage, and a cut is what its reader resumes from.
            request.transport.abort()
            raise asyncio.CancelledError
        farewell = bearable(request, error) if route is not None and route.streams else None
        return farewell or problem(error, request[REQUEST_ID])

    def _record(self, request: web.Request, label: str, status: int, seconds: float) -> None:
        method = request.method if request.method in METHODS else "OTHER"
        self._metrics.http_requests.inc(1, method, label, str(status))
        self._metrics.http_seconds.observe(seconds, method, label)
        quiet = label in QUIET_ROUTES and status < 400
        (self._log.debug if quiet else self._log.info)(
            "request", method=request.method, route=label, status=status, ms=round(seconds * 1000, 1)
        )

    async def _answer(self, request: web.Request, route: Route | None) -> web.StreamResponse:
        if route is None:
            return self._no_route(request)
        if route.needs_database and (reason := self._not_ready()) is not None:
            raise Unavailable(f"Not ready: {reason}.", retry_after_seconds=RETRY_AFTER_SECONDS)
        if route.access is Access.USER:
            await self._admit(request, route)
        elif route.access is Access.ENTRANCE and self._origins.is_foreign(request):
            raise Forbidden("This page may not log in here.")
        return await self._carry_out(request, route)

    def _not_ready(self) -> str | None:
        return self._database.state.reason or (None if self._lifecycle.initialized else "starting")

    async def _carry_out(self, request: web.Request, route: Route) -> web.StreamResponse:
        if route.streams or route.safe:
            return await route.handler(request)
        # A client that leaves must not stop a change half-way: aiohttp cancels us, not the handler.
        return await self._finishing.carry("request", _handle(route, request))

    async def _admit(self, request: web.Request, route: Route) -> None:
        """Put the user into the request's scope, and note when its cookie is to be sent anew."""
        token, by_cookie = self._cookies.token(request)
        if token is None:
            raise Unauthenticated("A login is needed.")
        found = await self._auth.authenticate(token)
        if found is None:
            raise Unauthenticated("The login is unknown or has ended.")
        if by_cookie and not route.safe and not self._origins.is_ours(request):
            raise Forbidden("This page may not act for the user (Origin).")
        scope = self._provider.create_scope()
        scope.override(AUserContext, UserContext(found))
        request[SCOPE] = scope
        if by_cookie and found.extended:
            request[EXTENDED] = (found, token)

    def _no_route(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS" and request.headers.get("Access-Control-Request-Method"):
            return web.Response(status=204)
        error = request.match_info.http_exception
        if isinstance(error, web.HTTPMethodNotAllowed):
            raise MethodNotAllowed(f"{request.method} is not possible here.", sorted(error.allowed_methods))
        raise NotFound("There is nothing here.")


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def new_request_id(request: web.BaseRequest) -> str:
    """The caller's if it is sane, so that a trace can go through a balancer; else a new one."""
    given = request.headers.get("X-Request-ID", "")
    return given if _SANE_ID.fullmatch(given) else uuid4().hex


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _handle(route: Route, request: web.Request) -> web.StreamResponse:
    return await route.handler(request)
