"""OpenAPI 3.1 out of the route table and its types."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from webedt.http.routes import Access, Parameter, Route

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
    types = list(dict.fromkeys(item for route in shown for item in (route.body, route.answer) if item is not None))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "WebEDT", "version": version, "description": "Durable AI streaming on PostgreSQL."},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": PROBLEM},
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
        "responses": {str(status): _answer(route, status, schemas) for status in route.statuses},
    }
    operation["responses"]["default"] = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    described = {item.name for item in route.parameters if item.place == "path"}
    parameters = [_path_parameter(name) for name in _PATH_PARAMETER.findall(route.path) if name not in described]
    parameters += [_parameter(item) for item in route.parameters]
    if parameters:
        operation["parameters"] = parameters
    if route.raw_body:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": BYTES}}}
    if route.body is not None:
        content = {"application/json": {"schema": schemas[route.body]}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
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
    elif route.answer is not None:
        answer["content"] = {"application/json": {"schema": schemas[route.answer]}}
    return answer


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
    }


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
