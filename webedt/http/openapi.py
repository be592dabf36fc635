"""OpenAPI 3.1 out of the route table and its types."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from webedt.http.event_shapes import SHAPES
from webedt.http.examples import EXAMPLES, Example
from webedt.http.routes import Access, Parameter, Route

DESCRIPTION = """Durable AI streaming on PostgreSQL.

A prompt starts a run. The run belongs to the database, not to a connection: its events have the ids 1, 2, 3, … of their
session, and any replica streams them from any id, live or long after. Log in with the cookie `webedt_session` or with
`Authorization: Bearer` and its value. Errors are problems (RFC 9457) with a stable `code`.
"""
# The first that a path begins with.
TAGS = {
    "/api/auth": ("Accounts", "Register, log in, end logins."),
    "/api/execute-remote": ("Runs", "Start, follow, interrupt. Runs do not depend on connections."),
    "/api/resume": ("Runs", ""),
    "/api/shared": ("Sharing", "Read-only links to a session, live, for anybody who has one."),
    "/api/sessions/{id}/share": ("Sharing", ""),
    "/api/sessions/{id}/files": ("Files", "Workspace files of a session."),
    "/api/sessions/{id}/send": ("Runs", ""),
    "/api/sessions/{id}/interrupt": ("Runs", ""),
    "/api/sessions/{id}/events": ("Runs", ""),
    "/api/sessions": ("Sessions", "The list, and each session's title, favourite and trash."),
    "/api/user": ("Settings", "Providers, default provider, own API keys."),
    "/api/providers": ("Settings", ""),
    "/": ("Operations", "Probes, status and metrics."),
}
REFUSALS = {
    400: "`invalid_request`: the request is not understood; `errors` says which fields",
    401: "`unauthenticated`: a login is needed",
    403: "`forbidden`: this page may not act with the user's cookie",
    404: "`not_found`: there is no such thing, or it is somebody else's",
    409: "`conflict`: not in the state that this is in",
    410: "`gone`: it was here, and is over",
    413: "`payload_too_large`: more than may be sent",
    416: "`range_not_satisfiable`: there is nothing in this range",
    429: "`rate_limited`: too many; `Retry-After` says when to ask again",
    503: "`unavailable`: not now; `Retry-After` says when to ask again",
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "requestId": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_PATH_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{name}"


def build_openapi(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The document for the documented routes."""
    shown = [route for route in routes if route.documented]
    named = [item for route in shown for item in (route.body, route.answer) if item is not None]
    types = list(dict.fromkeys([*named, *SHAPES.values()]))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WebEDT",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": doc} for name, doc in TAGS.values() if doc],
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": PROBLEM},
            "responses": {str(status): _problem(doc) for status, doc in REFUSALS.items()},
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "webedt_session"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', route.path)}".rstrip("_"),
        "summary": route.summary,
        "tags": [next(name for start, (name, _) in TAGS.items() if route.path.startswith(start))],
        "responses": {str(status): _answer(route, status, schemas) for status in route.statuses},
    }
    for status in _refusals(route):
        operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    operation["responses"]["default"] = _problem("A problem (RFC 9457)")
    described = {item.name for item in route.parameters if item.place == "path"}
    parameters = [_path_parameter(name) for name in _PATH_PARAMETER.findall(route.path) if name not in described]
    parameters += [_parameter(item) for item in route.parameters]
    if parameters:
        operation["parameters"] = parameters
    if route.raw_body:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": BYTES}}}
    if route.body is not None:
        content = {"schema": schemas[route.body]}
        if (body := _example(route).body) is not None:
            content["example"] = body
        operation["requestBody"] = {"required": route.body_required, "content": {"application/json": content}}
    if route.access is Access.USER:
        operation["security"] = [{"cookie": []}, {"bearer": []}]
    return operation


def _answer(route: Route, status: int, schemas: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    if status == 204:
        return {"description": "Nothing to say"}
    if status == 304:
        return {"description": "What you have is still there"}
    if route.raw_answers:
        return {**answer, "content": {media_type: {"schema": BYTES} for media_type in route.raw_answers}}
    if route.media_type != "application/json" and status == 200:
        schema = _event(route.events) if route.events else {"type": "string"}
        answer["content"] = {route.media_type: {"schema": schema}}
        if (stream := _example(route).stream) is not None:
            answer["content"][route.media_type]["example"] = stream
    elif route.answer is not None:
        answer["content"] = {"application/json": {"schema": schemas[route.answer]}}
        if (example := _example(route).answer) is not None and status < 300:
            answer["content"]["application/json"]["example"] = example
    return answer


def _example(route: Route) -> Example:
    return EXAMPLES.get((route.method, route.path), Example())


def _refusals(route: Route) -> list[int]:
    """What a client should be ready for here, beside what any request may meet."""
    reasons = {
        400: route.body is not None or any(one.place in ("query", "header") for one in route.parameters),
        401: route.access is Access.USER,
        403: route.access is not Access.PUBLIC and not route.safe,
        404: "{" in route.path,
        413: route.body is not None or route.raw_body,
        429: route.streams or route.access is Access.ENTRANCE,
        503: route.needs_database,
    }
    return sorted({status for status, holds in reasons.items() if holds} | {*route.refusals})


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _event(names: Sequence[str]) -> dict[str, Any]:
    """One event of a stream: OpenAPI 3.1 has no word for that, and this is how readers of such documents take it."""
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^[1-9][0-9]*$"},
            "event": {"type": "string", "enum": list(names)},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
        "oneOf": [_kind(name) for name in names],
    }


def _kind(name: str) -> dict[str, Any]:
    data = {"contentSchema": {"$ref": _REFERENCE.format(name=SHAPES[name].__name__)}}
    return {"title": name, "properties": {"event": {"const": name}, "data": data}}


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "uuid"} if name == "id" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(item: Parameter) -> dict[str, Any]:
    described = {"name": item.name, "in": item.place, "description": item.doc, "schema": item.schema}
    match item.place:
        case "path":
            return {**described, "required": True}
        case "query":
            return {**described, "allowEmptyValue": True}  # what is empty counts as not given
    return described
