"""The OpenAPI document is sound and whole (that it is true is shown by test_openapi.py), and what can be set, asked or
measured is written down for people.
"""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.http.client import Running
from webedt.config import Settings

ROOT = Path(__file__).parents[2]
PROMISED = {
    "/api/auth/register": {"post"}, "/api/auth/login": {"post"}, "/api/auth/logout": {"post"},
    "/api/auth/logout-all": {"post"}, "/api/auth/session": {"get"}, "/api/auth/sessions": {"get"},
    "/api/auth/sessions/{id}": {"delete"}, "/api/execute-remote": {"post"}, "/api/resume/{id}": {"get"},
    "/api/sessions": {"get"}, "/api/sessions/updates": {"get"}, "/api/sessions/{id}": {"get", "patch", "delete"},
    "/api/sessions/{id}/restore": {"post"}, "/api/sessions/{id}/events": {"get"},
    "/api/sessions/{id}/events/stream": {"get"}, "/api/sessions/{id}/send": {"post"},
    "/api/sessions/{id}/interrupt": {"post"}, "/api/sessions/{id}/share": {"post", "delete"},
    "/api/shared/{token}": {"get"}, "/api/shared/{token}/events/stream": {"get"},
    "/api/sessions/{id}/files": {"get"}, "/api/sessions/{id}/files/{path}": {"get", "put", "delete"},
    "/api/user/credentials": {"get"},
    "/api/user/credentials/{provider}": {"put", "delete"}, "/api/user/preferences": {"get", "patch"},
    "/api/providers": {"get"}, "/health": {"get"}, "/live": {"get"}, "/ready": {"get"},
    "/health/status": {"get"}, "/metrics": {"get"}, "/api/openapi.json": {"get"},
}  # fmt: skip


# Beside what is refused of every operation of its kind (400, 401, 403, 429, 503).
REFUSED = {
    ("post", "/api/auth/login"): {401}, ("post", "/api/auth/register"): {409}, ("get", "/api/operations"): {403},
    ("post", "/api/execute-remote"): {404, 409, 413}, ("post", "/api/sessions/{id}/send"): {404, 409, 413},
    ("post", "/api/sessions/{id}/interrupt"): {404, 409}, ("patch", "/api/sessions/{id}"): {404, 413},
    ("get", "/api/shared/{token}"): {404, 410}, ("get", "/api/shared/{token}/events/stream"): {404, 410},
    ("get", "/api/sessions/{id}/files/{path}"): {404, 416}, ("put", "/api/sessions/{id}/files/{path}"): {409, 413},
    ("delete", "/api/sessions/{id}/files/{path}"): {404, 409},
}  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def document(app: Running) -> Any:
    answer = await app.nobody.get("/api/openapi.json")
    assert answer.status == 200
    return answer.json()


async def test_the_document_lists_every_route_and_no_other(app: Running, document: Any) -> None:
    listed = {(method, path) for path, methods in document["paths"].items() for method in methods}
    for path, methods in PROMISED.items():
        assert methods <= document["paths"].get(path, {}).keys(), path
    served = set()
    for route in app.replica.application.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if path not in ("/", "/api/docs") and not path.startswith(("/assets/", "/shared/")) and route.method != "HEAD":
            served.add((route.method.lower(), path))
    assert listed == served


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in references(inner)]
    return []


async def test_the_document_is_sound(document: Any) -> None:
    try:
        from openapi_spec_validator import validate
    except ImportError:
        pass
    else:
        validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["info"].keys() >= {"title", "version"}
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            assert all("$ref" in answer or answer["description"] for answer in operation["responses"].values())
            parameters = operation.get("parameters", [])
            named = {one["name"] for one in parameters if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert all(one["in"] in ("path", "query", "header") and one["schema"] for one in parameters)
            assert len({(one["name"], one["in"]) for one in parameters}) == len(parameters)


async def test_the_document_says_what_needs_a_login(app: Running, document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            known = path.replace("{id}", "00000000-0000-4000-8000-000000000000")
            answer = await app.nobody.ask(method.upper(), re.sub(r"{\w+}", "x", known))
            assert (answer.status == 401) == ("security" in operation and not login_only(path)), (method, path)


def login_only(path: str) -> bool:
    """Login itself answers 401 to a wrong password, which is not what `security` speaks of."""
    return path == "/api/auth/login"


async def test_the_document_names_each_refusal_by_its_status(document: Any) -> None:
    for (method, path), statuses in REFUSED.items():
        assert document["paths"][path][method]["responses"].keys() >= {str(status) for status in statuses}, path


async def test_bodies_and_answers_have_schemas(document: Any) -> None:
    def members(schema: Any) -> set[str]:
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return set(schema["properties"])

    paths = document["paths"]
    body = paths["/api/execute-remote"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert members(body) == {"userRequest", "websiteSessionId", "provider", "model", "github", "onBusy"}
    stream = paths["/api/execute-remote"]["post"]["responses"]
    assert stream["200"]["content"].keys() == {"text/event-stream"}
    assert members(stream["202"]["content"]["application/json"]["schema"]) == {"sessionId", "runId", "status"}
    page = paths["/api/sessions/{id}/events"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert members(page) == {"events", "lastEventId", "status"}
    assert paths["/api/resume/{id}"]["get"]["responses"].keys() >= {"200", "204", "default"}
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "code", "detail", "requestId"}


# For people -----------------------------------------------------------------------------------------------------------


def variables() -> list[str]:
    return [name for item in fields(Settings) for name in item.metadata["variables"]]


@pytest.mark.parametrize("variable", variables())
def test_every_setting_is_in_the_readme(variable: str) -> None:
    assert re.search(rf"\b{variable}\b", (ROOT / "README.md").read_text())


def test_every_setting_explains_itself() -> None:
    assert all(item.metadata["doc"].endswith(".") for item in fields(Settings))


async def test_every_metric_is_written_down(app: Running) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text() for page in pages)
    metrics = re.findall(r"^# TYPE (\w+) ", (await app.nobody.get("/metrics")).body.decode(), re.M)
    missing = [name for name in metrics if name.startswith("webedt_") and not name.endswith("_created")
               and name.removesuffix("_total") not in text]  # fmt: skip
    assert not missing
