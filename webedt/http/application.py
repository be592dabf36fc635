"""Puts the route table behind the pipeline: the aiohttp application."""

import functools
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from webedt.http.bodies import MAX_BODY_BYTES
from webedt.http.context import json_response
from webedt.http.middleware import Pipeline
from webedt.http.openapi import build_openapi
from webedt.http.routes import Access, Route

CONTINUE = "100-continue"


def build_application(pipeline: Pipeline, routes: Sequence[Route], version: str) -> web.Application:
    """The application that serves `routes` and `/api/openapi.json`, which describes them."""

    async def openapi(_request: web.Request) -> web.StreamResponse:
        return json_response(document)

    described = Route(
        method="GET", path="/api/openapi.json", handler=openapi, summary="This description", access=Access.PUBLIC,
        needs_database=False, answer=dict[str, Any],
    )  # fmt: skip
    table = [*routes, described]
    document = build_openapi(table, version)
    application = web.Application(middlewares=[pipeline.middleware], client_max_size=MAX_BODY_BYTES)
    paths = {route.path for route in table}
    for route in table:
        pattern = _pattern(route.path, paths, slashes=route.takes_slashes)
        expecting = _leave_it_to_the_handler if route.raw_body else None
        application.router.add_route(route.method, pattern, route.handler, expect_handler=expecting)
        if route.method == "GET" and not route.streams:  # a stream has no HEAD
            application.router.add_route("HEAD", pattern, route.handler)
        pipeline.add(route)
    application.on_response_prepare.append(pipeline.prepare)
    # aiohttp answers by itself what it cannot parse, past middlewares and signals, but through its request class. There
    # is no public way to name that one; a test holds this one.
    request_class = type("Request", (_Request,), {"pipeline": pipeline})
    vars(application)["_make_request"] = functools.partial(application._make_request, _cls=request_class)
    return application


async def _leave_it_to_the_handler(_request: web.Request) -> None:
    """By itself aiohttp asks for the body before anybody has said that it is wanted."""


def _pattern(path: str, paths: set[str], *, slashes: bool) -> str:
    """`path` for the router, its last parameter never one of the words that stand there in other paths.

    The router would try the next path when a method does not fit: PATCH of `/api/sessions/updates` would be a session
    that is not there instead of a method that is not allowed, and `Allow` would name the methods of both.
    """
    before, brace, name = path.rpartition("{")
    if slashes:
        return f"{before}{{{name[:-1]}:(?s:.+)}}"
    taken = [other.removeprefix(before) for other in paths if other.startswith(before)] if brace else []
    words = "|".join(sorted(re.escape(word) for word in taken if not set(word) & set("{/")))
    if not words or not name.removesuffix("}").isidentifier():
        return path
    return f"{before}{{{name[:-1]}:(?!(?:{words})$)[^/{{}}]+}}"


class _Request(web.Request):
    """A request whose answer passes the pipeline also when it was too malformed to be routed."""

    pipeline: Pipeline

    def __init__(self, message: Any, *others: Any, **more: Any) -> None:
        # An expectation that nobody knows may be ignored. aiohttp would refuse it past the middleware, and fail at that
        # when it is not even text.
        if message.headers.get("Expect", CONTINUE).lower() != CONTINUE:
            known = message.headers.copy()
            known.popall("Expect")
            message = message._replace(headers=known)
        super().__init__(message, *others, **more)

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        if self._match_info is None:
            await self.pipeline.prepare_unparsed(self, response)
        else:
            await super()._prepare_hook(response)
