"""What holds for every answer."""

import re
from uuid import UUID, uuid4

from tests.conformance.check import check, expect, expect_equal, expect_members
from tests.conformance.deployment import BRIEF, Deployment
from tests.conformance.wire import Answer, Connection

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SANE = re.compile(r"[\x20-\x7e]{1,128}")
NEARLY = "00000000-0000-0000-0000-00000000000"
MALFORMED = ("1", "x", "%00", "%ff", "..%2f..", NEARLY, NEARLY + "00")
HUGE_BYTES = 64 * 1024 * 1024
ROUTES = {
    "/api/auth/register": {"post"}, "/api/auth/login": {"post"}, "/api/auth/logout": {"post"},
    "/api/auth/logout-all": {"post"}, "/api/auth/session": {"get"}, "/api/auth/sessions": {"get"},
    "/api/auth/sessions/{id}": {"delete"}, "/api/execute-remote": {"post"}, "/api/resume/{id}": {"get"},
    "/api/sessions": {"get"}, "/api/sessions/updates": {"get"}, "/api/sessions/{id}": {"get", "patch", "delete"},
    "/api/sessions/{id}/restore": {"post"}, "/api/sessions/{id}/events": {"get"},
    "/api/sessions/{id}/events/stream": {"get"}, "/api/sessions/{id}/send": {"post"},
    "/api/sessions/{id}/interrupt": {"post"}, "/api/sessions/{id}/share": {"post", "delete"},
    "/api/shared/{token}": {"get"}, "/api/shared/{token}/events/stream": {"get"},
    "/api/sessions/{id}/files": {"get"}, "/api/sessions/{id}/files/{path}": {"get", "put", "delete"},
}  # fmt: skip

REFUSED = (
    ("post", "/api/auth/register", "409"), ("post", "/api/auth/login", "401"), ("post", "/api/execute-remote", "404"),
    ("post", "/api/execute-remote", "409"), ("post", "/api/sessions/{id}/send", "409"),
    ("post", "/api/sessions/{id}/interrupt", "409"), ("get", "/api/shared/{token}", "410"),
    ("get", "/api/resume/{id}", "404"), ("get", "/api/resume/{id}", "429"), ("get", "/api/sessions/updates", "503"),
)  # fmt: skip


async def _one_of_each(deployment: Deployment) -> list[Answer]:
    """Answers of many statuses."""
    return [
        (await deployment.here.get("/api/sessions")).expect(200),
        (await deployment.here.post("/api/execute-remote", {})).expect(400),
        (await deployment.nobody.get("/api/sessions")).expect(401),
        (await deployment.here.get(f"/api/sessions/{uuid4()}")).expect(404),
        (await deployment.there.get("/api/nothing-like-this")).expect(404),
        (await deployment.there.delete("/api/execute-remote")).expect(405),
    ]


@check("problems", needs_runs=False)
async def problem_shape(deployment: Deployment) -> None:
    """Every error is a problem with all its members and the code of its status."""
    for answer in (await _one_of_each(deployment))[1:]:
        answer.problem(answer.status)


@check("problems", needs_runs=False)
async def wrong_method(deployment: Deployment) -> None:
    """A method that is not possible is 405 and says which are."""
    for method, path, possible in (
        ("GET", "/api/execute-remote", "POST"),
        ("PUT", "/api/sessions", "GET"),
        ("GET", "/api/auth/logout", "POST"),
        ("DELETE", "/api/auth/login", "POST"),
    ):
        answer = await deployment.here.ask(method, path)
        answer.problem(405)
        allowed = [word.strip() for word in answer.head.get("Allow").split(",")]
        expect(possible in allowed, f"{answer.head.asked}: Allow with {possible}", allowed)


@check("problems", needs_runs=False)
async def too_large(deployment: Deployment) -> None:
    """A body beyond every measure is `payload_too_large`, told by its length before it is sent."""
    headers = {**deployment.here.headers, "Content-Type": "application/json", "Content-Length": str(HUGE_BYTES)}
    async with Connection(deployment.here.address, deployment.patience) as connection:
        head = await connection.ask("POST", "/api/execute-remote", headers, b'{"userRequest":"')
        Answer(head, await connection.body(head, "POST")).problem(413)


@check("ids-404", needs_runs=False)
async def malformed_ids(deployment: Deployment) -> None:
    """An id that is none is not found, on every route that takes one."""
    for bad in MALFORMED:
        for method, path, body in (
            ("GET", "/api/sessions/{}", None), ("PATCH", "/api/sessions/{}", {"title": "x"}),
            ("DELETE", "/api/sessions/{}", None), ("POST", "/api/sessions/{}/restore", None),
            ("GET", "/api/resume/{}", None), ("GET", "/api/sessions/{}/events", None),
            ("GET", "/api/sessions/{}/events/stream", None), ("POST", "/api/sessions/{}/send", {"message": "x"}),
            ("POST", "/api/sessions/{}/interrupt", None), ("POST", "/api/sessions/{}/share", None),
            ("DELETE", "/api/sessions/{}/share", None), ("DELETE", "/api/auth/sessions/{}", None),
        ):  # fmt: skip
            (await deployment.here.ask(method, path.format(bad), body)).problem(404)


@check("api-404", needs_runs=False)
async def unknown_paths(deployment: Deployment) -> None:
    """An unknown path below /api is a JSON 404 for a browser too, whatever the method."""
    page = deployment.nobody.having(Accept="text/html")
    for path in ("/api/nothing-like-this", "/api", "/api/", "/api/sessions/x/y/z"):
        for method in ("GET", "POST", "DELETE"):
            (await page.ask(method, path)).problem(404)


@check("request-id")
async def request_id_comes_back(deployment: Deployment) -> None:
    """A sane `X-Request-ID` comes back, in errors and in streams too; two requests without one get two."""
    sample = await deployment.sample()
    for given in ("trace-1.a_b~!", "x" * 128):
        for path in ("/api/sessions", "/api/nothing-like-this", sample.run.resume):
            answer = await deployment.there.get(path, X_Request_ID=given)
            expect_equal(answer.head.get("X-Request-ID"), given, f"{answer.head.asked}: X-Request-ID")
    made = {(await deployment.here.get("/api/sessions")).head.get("X-Request-ID") for _ in range(3)}
    expect(len(made) == 3, "three ids for three requests", made)


@check("request-id", needs_runs=False)
async def request_id_is_made_sane(deployment: Deployment) -> None:
    """An `X-Request-ID` that is too long or not printable is replaced."""
    for given in ("", "x" * 129, "caf\u00e9", "a\tb"):
        answer = await deployment.here.get("/api/nothing-like-this", X_Request_ID=given)
        found = answer.head.get("X-Request-ID")
        expect(SANE.fullmatch(found) and found != given, "another, printable id", found)
        answer.problem(404)


@check("container-id", needs_runs=False)
async def container_id(deployment: Deployment) -> None:
    """Every answer names request and container, whatever its status."""
    for answer in await _one_of_each(deployment):
        for name in ("X-Container-ID", "X-Request-ID"):
            expect(answer.head.get(name), f"{answer.head.asked}: {name}", answer.head.fields)


@check("formats")
async def ids_and_times(deployment: Deployment) -> None:
    """Ids are UUIDs and times are UTC with `Z`, wherever they stand."""
    sample = await deployment.sample()
    session = (await deployment.here.get(sample.run.session)).expect(200).json()["session"]
    who = (await deployment.here.get("/api/auth/session")).expect(200).json()
    event = (await deployment.here.get(f"{sample.run.session}/events?limit=1")).expect(200).json()["events"][0]
    for text in (session["id"], who["user"]["id"], who["session"]["id"], event["runId"], sample.run.run_id):
        expect(_is_uuid(text), "a UUID", text)
    times = (session["createdAt"], session["updatedAt"], session["completedAt"], event["createdAt"])
    for text in (*times, who["user"]["createdAt"], who["session"]["expiresAt"]):
        expect(isinstance(text, str) and TIME.fullmatch(text), "a time in UTC with Z", text)


def _is_uuid(text: object) -> bool:
    try:
        return str(UUID(str(text))) == text
    except ValueError:
        return False


@check("safe-get")
async def get_changes_nothing(deployment: Deployment) -> None:
    """Reading a session in every way changes nothing of it, and no GET starts, stops or ends anything."""
    recording = await deployment.record()
    run = recording.run
    before = (await deployment.here.get(run.session)).expect(200).json()
    for path in (run.session, f"{run.session}/events", run.resume, "/api/sessions", "/api/auth/sessions"):
        await deployment.there.get(path)
    for path in (f"{run.session}/send", f"{run.session}/interrupt", f"{run.session}/restore", "/api/auth/logout-all"):
        (await deployment.here.get(path)).problem(405)
    (await deployment.here.get("/api/execute-remote?userRequest=x")).problem(405)
    async with deployment.there.stream(run.follow) as stream:
        await stream.until("caught_up")
    after = (await deployment.here.get(run.session)).expect(200).json()
    expect_equal(after, before, "the session")


@check("openapi", needs_runs=False)
async def openapi_names_the_routes(deployment: Deployment) -> None:
    """The description names every route of the contract that is checked here."""
    document = (await deployment.nobody.get("/api/openapi.json")).expect(200).json()
    expect_members(document, ("openapi", "paths"), "a description")
    for path, methods in ROUTES.items():
        found = document["paths"].get(path, {}).keys()
        expect(methods <= found, f"{path}: {', '.join(sorted(methods))}", sorted(found))


@check("openapi", needs_runs=False)
async def openapi_names_the_refusals(deployment: Deployment) -> None:
    """The description names by its status what the contract says that an operation refuses."""
    paths = (await deployment.nobody.get("/api/openapi.json")).expect(200).json()["paths"]
    for method, path, status in REFUSED:
        found = paths[path][method]["responses"].keys()
        expect(status in found, f"{method.upper()} {path}: {status}", sorted(found))


# Pages of browsers ----------------------------------------------------------------------------------------------------


@check("csrf", needs_runs=False)
async def cookie_needs_an_origin(deployment: Deployment) -> None:
    """With the cookie, what changes something needs a page of this host; a foreign one, or none, is forbidden."""
    browser = deployment.here.browser()
    (await browser.get("/api/auth/session")).expect(200)
    for headers in (
        {}, {"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "same-origin"},
    ):  # fmt: skip
        for method, path in (("POST", "/api/execute-remote"), ("POST", "/api/auth/logout-all")):
            (await browser.ask(method, path, {"userRequest": BRIEF}, **headers)).problem(403)
        (await browser.ask("DELETE", f"/api/sessions/{uuid4()}", **headers)).problem(403)
    (await browser.get("/api/auth/session")).expect(200)


@check("csrf", needs_runs=False)
async def own_page_may_act(deployment: Deployment) -> None:
    """With the cookie a page of this host may act; with Bearer nobody asks for the page."""
    path = f"/api/sessions/{uuid4()}"
    for headers in ({"Origin": deployment.here.address.origin}, {"Sec-Fetch-Site": "same-origin"}):
        (await deployment.here.browser().ask("DELETE", path, **headers)).problem(404)
    for headers in ({}, {"Origin": "https://evil.example.com"}):
        (await deployment.here.ask("DELETE", path, **headers)).problem(404)


@check("csrf", needs_runs=False)
async def foreign_pages_may_not_log_in(deployment: Deployment) -> None:
    """Login and register refuse a foreign page, before they look at the password."""
    body = {"email": f"conformance-{uuid4().hex}@example.com", "password": "long enough"}
    for path in ("/api/auth/login", "/api/auth/register"):
        for headers in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await deployment.nobody.post(path, body, **headers)
            answer.problem(403)
            expect(not answer.head.all("Set-Cookie"), "no cookie", answer.head.all("Set-Cookie"))
