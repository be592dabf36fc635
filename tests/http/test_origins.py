"""Which pages may act for a user: `Origin`, `Sec-Fetch-Site`, `ALLOWED_ORIGINS`, and whose address counts."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.http.client import PASSWORD, Client, Running, new_email, token
from tests.http.conftest import StartReplica, settings_for

FRIEND = "https://app.example.com"


@pytest.fixture
def by_cookie(app: Running, user: Client) -> Client:
    return app.nobody.with_headers(Cookie=f"webedt_session={token(user)}")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://127.0.0.1/"},
    ],
)
async def test_with_the_cookie_a_change_needs_proof_of_its_page(by_cookie: Client, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/api/execute-remote"), ("POST", "/api/auth/logout"), ("DELETE", "/api/sessions/1")):
        answer = await by_cookie.ask(method, path, {"userRequest": "x"}, headers=headers)
        assert (answer.status, answer.code) == (403, "forbidden")
    assert (await by_cookie.get("/api/auth/session")).status == 200
    assert (await by_cookie.get("/api/sessions")).json()["sessions"] == []


async def test_a_page_of_this_host_may_act(app: Running, by_cookie: Client) -> None:
    for headers in (
        {"Origin": app.origin},
        {"Origin": app.origin.upper().replace("HTTP", "http")},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://webedt.example.com", "Host": "webedt.example.com"},
        {"Origin": "https://webedt.example.com:8443", "Host": "WebEDT.example.com:8443"},
        {"Origin": "https://webedt.example.com", "Host": "webedt.example.com:443"},
    ):
        answer = await by_cookie.ask("POST", "/api/auth/logout-all-but-none", headers=headers)
        assert answer.status == 404
        answer = await by_cookie.ask("POST", "/api/execute-remote", {}, headers=headers)
        assert answer.status == 400, headers


async def test_bearer_needs_no_origin_and_wins_over_the_cookie(app: Running, user: Client, stranger: Client) -> None:
    assert (await user.post("/api/execute-remote", {}, Origin="https://evil.example.com")).status == 400
    both = user.with_headers(Cookie=f"webedt_session={token(stranger)}")
    assert (await both.post("/api/execute-remote", {})).status == 400
    assert (await both.get("/api/auth/session")).json() == (await user.get("/api/auth/session")).json()


async def test_a_cookie_beside_a_bad_bearer_header_does_not_count(app: Running, user: Client) -> None:
    mixed = app.browser(token(user)).with_headers(Authorization="Bearer nonsense")
    assert (await mixed.get("/api/auth/session")).status == 401


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/register"])
async def test_the_entrance_refuses_foreign_pages_and_takes_whoever_says_nothing(app: Running, path: str) -> None:
    email = new_email()
    body = {"email": email, "password": PASSWORD}
    for headers in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await app.nobody.ask("POST", path, body, headers=headers)
        assert (answer.status, answer.code) == (403, "forbidden")
        assert answer.cookie is None
    assert (await app.nobody.post("/api/auth/login", body)).status == 401
    assert (await app.nobody.post("/api/auth/register", body)).status == 201
    same = {**body, "email": new_email()} if path.endswith("register") else body
    assert (await app.nobody.post(path, same, Origin=app.origin)).status in (200, 201)


# ALLOWED_ORIGINS and CORS ---------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def friendly(database_url: str, start: StartReplica) -> AsyncIterator[Running]:
    async with start(allowed_origins=(FRIEND,)) as app:
        yield app


async def test_an_allowed_origin_may_act_and_read(friendly: Running) -> None:
    user = await friendly.register()
    page = friendly.nobody.with_headers(Cookie=f"webedt_session={token(user)}", Origin=FRIEND)
    refused = await page.post("/api/execute-remote", {})
    assert refused.status == 400
    for answer in (refused, await page.get("/api/sessions"), await page.get("/api/nothing")):
        assert answer.head["Access-Control-Allow-Origin"] == FRIEND
        assert answer.head["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in ", ".join(answer.head.all("Vary"))
    exposed = (await page.get("/api/sessions")).head["Access-Control-Expose-Headers"].lower()
    for name in ("x-session-id", "x-run-id", "location", "x-request-id", "retry-after"):
        assert name in exposed
    body = {"email": new_email(), "password": PASSWORD}
    assert (await friendly.nobody.post("/api/auth/register", body, Origin=FRIEND)).status == 201


async def test_an_allowed_origin_may_import_the_client_module(friendly: Running) -> None:
    page = friendly.nobody.with_headers(Origin=FRIEND)
    module, types = await page.get("/assets/client.js"), await page.get("/assets/client.d.ts")
    assert (module.status, types.status) == (200, 200)
    assert module.head["Content-Type"].startswith("text/javascript")
    assert module.head["Access-Control-Allow-Origin"] == FRIEND
    assert "Origin" in module.head["Vary"]


async def test_an_allowed_origin_reads_streams(friendly: Running) -> None:
    user = await friendly.register()
    page = friendly.nobody.with_headers(Cookie=f"webedt_session={token(user)}", Origin=FRIEND)
    async with page.stream("/api/execute-remote", {"userRequest": "[[tokens=1 rate=0]]"}) as stream:
        assert stream.head["Access-Control-Allow-Origin"] == FRIEND
    async with page.stream("/api/sessions/updates") as stream:
        assert stream.head["Access-Control-Allow-Origin"] == FRIEND


async def test_a_preflight_says_what_an_allowed_origin_may_send(friendly: Running) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for path in ("/api/execute-remote", "/api/sessions/x/send"):
        answer = await friendly.nobody.ask("OPTIONS", path, headers={"Origin": FRIEND, **asked})
        assert answer.status == 204
        assert answer.head["Access-Control-Allow-Origin"] == FRIEND
        allowed = answer.head["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"content-type", "idempotency-key", "last-event-id", "prefer", "authorization", "traceparent"} <= set(
            allowed
        )
        assert {"POST", "PATCH", "DELETE", "PUT"} <= set(answer.head["Access-Control-Allow-Methods"].split(", "))


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{FRIEND}.evil.com", "http://app.example.com", "null"])
async def test_other_origins_get_no_leave(friendly: Running, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (
        await friendly.nobody.ask("OPTIONS", "/api/execute-remote", headers=asked),
        await friendly.nobody.get("/api/sessions", Origin=origin),
    ):
        assert not [name for name, _ in answer.head.fields if name.startswith("access-control-")]


# The rate limit of the entrance, and whose address it counts ----------------------------------------------------------


async def attempt(client: Client) -> int:
    return (await client.post("/api/auth/login", {"email": new_email(), "password": PASSWORD})).status


async def test_ten_attempts_a_minute_and_then_429_on_every_replica(database_url: str, start: StartReplica) -> None:
    limit = settings_for(database_url, auth_rate_limit_per_minute=10).auth_rate_limit_per_minute
    async with start(auth_rate_limit_per_minute=limit) as one, start(auth_rate_limit_per_minute=limit) as other:
        email = new_email()
        body = {"email": email, "password": PASSWORD}
        assert (await one.nobody.post("/api/auth/register", body)).status == 201
        assert [await attempt(other.nobody) for _ in range(9)] == [401] * 9
        for replica in (one, other):
            for path in ("/api/auth/login", "/api/auth/register"):
                answer = await replica.nobody.post(path, body)
                assert (answer.status, answer.code) == (429, "rate_limited")
                assert 1 <= int(answer.head["Retry-After"]) <= 60
                assert answer.cookie is None


async def test_the_limit_is_ten_unless_told_otherwise() -> None:
    from webedt.config import load_settings

    assert load_settings({"DATABASE_URL": "postgresql://localhost/x"}).auth_rate_limit_per_minute == 10


async def test_only_a_trusted_proxy_says_who_is_asking(start: StartReplica) -> None:
    async with start(auth_rate_limit_per_minute=1) as app:
        assert await attempt(app.nobody.with_headers(X_Forwarded_For="203.0.113.1")) == 401
        assert await attempt(app.nobody.with_headers(X_Forwarded_For="203.0.113.2")) == 429


async def test_behind_a_trusted_proxy_each_address_has_its_own_limit(start: StartReplica) -> None:
    from ipaddress import ip_network

    networks = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))
    async with start(auth_rate_limit_per_minute=1, trusted_proxies=networks) as app:

        async def coming_from(forwarded: str) -> int:
            return await attempt(app.nobody.with_headers(X_Forwarded_For=forwarded))

        assert await coming_from("203.0.113.1") == 401
        assert await coming_from("203.0.113.2") == 401
        assert await coming_from("203.0.113.2") == 429
        # What stands left of the last address that is not a proxy's was made up by the client.
        assert await coming_from("198.51.100.7, 203.0.113.2") == 429
        assert await coming_from("198.51.100.7, 203.0.113.3, 10.1.2.3") == 401
        assert await coming_from("198.51.100.8, 203.0.113.3, 10.9.9.9") == 429
