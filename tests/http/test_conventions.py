"""What holds for every answer: its headers, its problems, its ids and times."""

import re
from uuid import UUID, uuid4

import pytest

from tests.http.client import CONTAINER, SHORT, Client, Running
from webedt.services.sessions import ASessions

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
OVER_LIMIT = b'"' + b"x" * (10 * 1024 * 1024) + b'"'


async def test_every_kind_of_answer_names_the_request_and_the_container(app: Running, user: Client) -> None:
    answers = {
        200: await user.get("/api/sessions"),
        204: await user.post("/api/auth/logout-all", Authorization=(await app.register()).headers["Authorization"]),
        400: await user.post("/api/execute-remote", {}),
        401: await app.nobody.get("/api/sessions"),
        404: await user.get("/api/nothing"),
        405: await user.delete("/api/execute-remote"),
        413: await user.post("/api/execute-remote", OVER_LIMIT),
    }
    for status, answer in answers.items():
        assert answer.status == status
        assert answer.head["X-Container-ID"] == CONTAINER
        assert answer.head["X-Request-ID"]
        assert answer.head["Server"] == "webedt"


async def test_streams_name_the_request_and_the_container_before_their_first_byte(user: Client) -> None:
    async with user.stream("/api/execute-remote", {"userRequest": SHORT}, X_Request_ID="trace-1") as stream:
        assert stream.head["X-Request-ID"] == "trace-1"
        assert stream.head["X-Container-ID"] == CONTAINER
        assert stream.head["Server"] == "webedt"
    async with user.stream("/api/sessions/updates") as stream:
        assert stream.head["X-Container-ID"] == CONTAINER


async def test_a_fault_of_ours_is_a_500_that_tells_nothing_but_its_request(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object) -> None:
        raise RuntimeError("relation secret_table does not exist")

    monkeypatch.setattr(app.service(ASessions), "find", fail)
    answer = await user.get(f"/api/sessions/{uuid4()}")
    assert (answer.status, answer.code) == (500, "internal")
    assert answer.head["X-Container-ID"] == CONTAINER
    assert b"secret_table" not in answer.body


async def test_what_is_not_http_is_refused_with_the_same_headers(app: Running) -> None:
    for method, path, headers in (
        ("GET", "/api/sessions", {"X-Long": "x" * 100_000}),
        ("BREW", "/api/sessions", {}),
        ("GET", "/api/sessions?q=" + "x" * 100_000, {}),
        ("GET", "no-slash and spaces", {}),
        ("POST", "/api/execute-remote", {"Content-Length": "many"}),
    ):
        answer = await app.nobody.ask(method, path, headers=headers)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert answer.head["X-Container-ID"] == CONTAINER
        assert answer.head["Server"] == "webedt"


@pytest.mark.parametrize("given", ["abc-123", "~!", "x" * 128])
async def test_a_sane_request_id_comes_back(app: Running, given: str) -> None:
    assert (await app.nobody.get("/health", X_Request_ID=given)).head["X-Request-ID"] == given
    assert (await app.nobody.get("/api/nothing", X_Request_ID=given)).json()["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "caf\u00e9", "a\tb", "\x7f"])
async def test_an_insane_request_id_is_replaced(app: Running, given: str) -> None:
    answer = await app.nobody.get("/api/nothing", X_Request_ID=given)
    assert re.fullmatch(r"[\x21-\x7e]{8,128}", answer.head["X-Request-ID"])
    assert answer.head["X-Request-ID"] != given


async def test_two_requests_without_an_id_get_two(app: Running) -> None:
    given = {(await app.nobody.get("/health")).head["X-Request-ID"] for _ in range(2)}
    assert len(given) == 2


@pytest.mark.parametrize("path", ["/api/nothing", "/api", "/api/", "/api/sessions/", "/api/../nothing", "/nothing"])
async def test_an_unknown_path_is_a_problem_and_never_the_page(app: Running, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await app.nobody.with_headers(Accept="text/html").ask(method, path)
        assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/execute-remote", {"POST"}),
        ("PUT", "/api/sessions", {"GET", "HEAD"}),
        ("DELETE", "/api/auth/login", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PROPFIND", "/health", {"GET", "HEAD"}),
        ("PATCH", "/api/sessions/updates", {"GET"}),
    ],
)
async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(
    app: Running, method: str, path: str, allowed: set[str]
) -> None:
    answer = await app.nobody.ask(method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert set(answer.head["Allow"].split(", ")) == allowed


NEARLY = "00000000-0000-0000-0000-00000000000"
MALFORMED = ["1", "x", "%00", "%ff", "..%2f..", NEARLY, NEARLY + "00", "{" + "a" * 34 + "}"]


@pytest.mark.parametrize("bad", MALFORMED)
async def test_a_malformed_id_is_not_found(user: Client, bad: str) -> None:
    asked = [
        await user.get(f"/api/sessions/{bad}"),
        await user.patch(f"/api/sessions/{bad}", {"title": "x"}),
        await user.delete(f"/api/sessions/{bad}"),
        await user.post(f"/api/sessions/{bad}/restore"),
        await user.get(f"/api/resume/{bad}"),
        await user.get(f"/api/sessions/{bad}/events"),
        await user.get(f"/api/sessions/{bad}/events/stream"),
        await user.post(f"/api/sessions/{bad}/send", {"message": "x"}),
        await user.post(f"/api/sessions/{bad}/interrupt"),
        await user.post(f"/api/sessions/{bad}/share"),
        await user.delete(f"/api/sessions/{bad}/share"),
        await user.delete(f"/api/auth/sessions/{bad}"),
    ]
    assert {(answer.status, answer.code) for answer in asked} == {(404, "not_found")}


async def test_somebody_elses_session_answers_exactly_like_one_that_does_not_exist(
    user: Client, stranger: Client
) -> None:
    theirs = (await stranger.start())["sessionId"]

    async def ask(session_id: str) -> list[dict[str, object]]:
        same = user.with_headers(X_Request_ID="same")
        answers = [
            await same.get(f"/api/sessions/{session_id}"),
            await same.patch(f"/api/sessions/{session_id}", {"title": "mine"}),
            await same.delete(f"/api/sessions/{session_id}"),
            await same.post(f"/api/sessions/{session_id}/restore"),
            await same.get(f"/api/resume/{session_id}"),
            await same.get(f"/api/resume/{session_id}", Accept="text/event-stream"),
            await same.get(f"/api/sessions/{session_id}/events?wait=30"),
            await same.get(f"/api/sessions/{session_id}/events/stream"),
            await same.post(f"/api/sessions/{session_id}/send", {"message": "x", "onBusy": "interrupt"}),
            await same.post(f"/api/sessions/{session_id}/interrupt"),
            await same.post(f"/api/sessions/{session_id}/interrupt", {"runId": str(uuid4())}),
            await same.post(f"/api/sessions/{session_id}/share", {"expiresInDays": 1}),
            await same.delete(f"/api/sessions/{session_id}/share"),
            await same.post("/api/execute-remote", {"userRequest": "x", "websiteSessionId": session_id}),
        ]
        assert {(answer.status, answer.code) for answer in answers} == {(404, "not_found")}
        return [answer.json() for answer in answers]

    assert await ask(theirs) == await ask(str(uuid4()))
    assert (await stranger.get(f"/api/sessions/{theirs}")).json()["session"]["status"] == "running"


async def test_ids_are_uuids_and_times_are_utc_with_z(user: Client) -> None:
    session_id = await user.finish()
    session = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    who = (await user.get("/api/auth/session")).json()
    page = (await user.get(f"/api/sessions/{session_id}/events")).json()
    for text in (session["id"], who["user"]["id"], who["session"]["id"], page["events"][0]["runId"]):
        assert str(UUID(text)) == text
    times = [session["createdAt"], session["updatedAt"], session["completedAt"], page["events"][0]["createdAt"]]
    for text in (*times, who["user"]["createdAt"], who["session"]["expiresAt"]):
        assert TIME.fullmatch(text)


@pytest.mark.parametrize("path", ["/health", "/live", "/ready", "/metrics", "/api/sessions", "/api/openapi.json", "/"])
async def test_head_answers_as_get_without_a_body(user: Client, path: str) -> None:
    got, headed = await user.get(path), await user.ask("HEAD", path)
    assert headed.status == got.status == 200
    assert headed.body == b""
    assert headed.head["Content-Type"] == got.head["Content-Type"]


async def test_head_of_a_stream_ends_at_once(user: Client) -> None:
    session_id = (await user.start())["sessionId"]
    for path in (f"/api/resume/{session_id}", f"/api/sessions/{session_id}/events/stream", "/api/sessions/updates"):
        answer = await user.ask("HEAD", path)
        assert answer.status == 405
        assert answer.body == b""


async def test_answers_of_the_api_are_not_kept_by_caches_and_not_guessed(user: Client) -> None:
    for path in ("/api/sessions", "/api/auth/session", "/api/nothing"):
        answer = await user.get(path)
        assert answer.head["Cache-Control"] == "no-store"
        assert answer.head["X-Content-Type-Options"] == "nosniff"
