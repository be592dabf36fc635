"""Accounts and logins: register, login, logout, the list of logins, and how long a login holds."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.http.client import LONG, PASSWORD, Client, Running, new_email, token, token_of
from tests.http.conftest import StartReplica


def attributes(cookie: str | None) -> dict[str, str]:
    assert cookie is not None
    parts = [part.strip().partition("=") for part in cookie.split(";")]
    return {name.lower(): value for name, _, value in parts}


async def test_register_answers_the_user_its_login_and_a_cookie(app: Running) -> None:
    email = new_email()
    body = {"email": email, "password": PASSWORD, "displayName": "Ada"}
    answer = await app.nobody.post("/api/auth/register", body)
    assert answer.status == 201
    found = answer.json()
    assert found.keys() == {"user", "session"}
    assert found["user"].keys() == {"id", "email", "displayName", "createdAt"}
    assert (found["user"]["email"], found["user"]["displayName"]) == (email, "Ada")
    assert found["session"].keys() == {"id", "expiresAt"}
    assert PASSWORD.encode() not in answer.body
    assert token_of(answer).encode() not in answer.body
    assert (await app.bearer(token_of(answer)).get("/api/auth/session")).json() == found


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(app: Running) -> None:
    body = {"email": new_email(), "password": PASSWORD}
    found = attributes((await app.nobody.post("/api/auth/register", body)).cookie)
    assert len(found["webedt_session"]) >= 43
    assert "httponly" in found
    assert found["samesite"] == "Lax"
    assert found["path"] == "/"
    assert 29 * 86400 < int(found["max-age"]) <= 30 * 86400
    assert "secure" not in found
    assert "domain" not in found


async def test_the_cookie_is_secure_in_production(start: StartReplica) -> None:
    async with start(environment="production", simulated_provider=True) as app:
        answer = await app.nobody.post("/api/auth/register", {"email": new_email(), "password": PASSWORD})
        assert "secure" in attributes(answer.cookie)
        assert answer.head["Strict-Transport-Security"]
        user = app.bearer(token_of(answer))
        assert "secure" in attributes((await user.post("/api/auth/logout")).cookie)


async def test_the_case_of_an_email_address_does_not_matter(app: Running) -> None:
    email = new_email()
    assert (await app.nobody.post("/api/auth/register", {"email": email.title(), "password": PASSWORD})).status == 201
    again = await app.nobody.post("/api/auth/register", {"email": email.upper(), "password": PASSWORD})
    assert (again.status, again.code) == (409, "conflict")
    answer = await app.nobody.post("/api/auth/login", {"email": email.upper(), "password": PASSWORD})
    assert answer.status == 200
    assert answer.json()["user"]["email"] == email


async def test_login_answers_as_register_does(app: Running) -> None:
    email = new_email()
    registered = await app.nobody.post("/api/auth/register", {"email": email, "password": PASSWORD})
    answer = await app.nobody.post("/api/auth/login", {"email": email, "password": PASSWORD})
    assert answer.status == 200
    assert answer.json()["user"] == registered.json()["user"]
    assert answer.json()["session"]["id"] != registered.json()["session"]["id"]
    assert token_of(answer) != token_of(registered)


async def test_an_unknown_user_and_a_wrong_password_are_told_the_same(app: Running) -> None:
    email = new_email()
    await app.nobody.post("/api/auth/register", {"email": email, "password": PASSWORD})
    nobody = app.nobody.with_headers(X_Request_ID="same")
    tries = [{"email": email, "password": PASSWORD + "!"}, {"email": new_email(), "password": PASSWORD}]
    tries += [{"email": "no address", "password": PASSWORD}, {"email": email, "password": ""}]
    answers = [await nobody.post("/api/auth/login", body) for body in tries]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "unauthenticated")}
    assert len({answer.body for answer in answers}) == 1
    assert all(answer.cookie is None for answer in answers)


@pytest.mark.parametrize(
    "change",
    [
        {"password": "1234567"},
        {"password": "x" * 201},
        {"password": None},
        {"password": 12345678},
        {"email": "no address"},
        {"email": ""},
        {"email": f"{'x' * 250}@example.com"},
        {"email": "a@b c.com"},
        {"email": None},
        {"displayName": 7},
        {"displayName": "x" * 101},
        {"admin": True},
    ],
)
async def test_register_refuses_what_is_not_an_account(app: Running, change: dict[str, Any]) -> None:
    body = {"email": new_email(), "password": PASSWORD, **change}
    answer = await app.nobody.post("/api/auth/register", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.cookie is None


async def test_passwords_of_8_and_of_200_characters_are_taken(app: Running) -> None:
    for password in ("ümläüt78", "x" * 200, "\ud800 lonely"):
        body = {"email": new_email(), "password": password}
        assert (await app.nobody.post("/api/auth/register", body)).status == 201
        assert (await app.nobody.post("/api/auth/login", body)).status == 200


async def test_logout_ends_this_login_and_clears_the_cookie(app: Running) -> None:
    email = new_email()
    first = token_of(await app.nobody.post("/api/auth/register", {"email": email, "password": PASSWORD}))
    second = token_of(await app.nobody.post("/api/auth/login", {"email": email, "password": PASSWORD}))
    answer = await app.browser(first).post("/api/auth/logout")
    assert (answer.status, answer.body) == (204, b"")
    cleared = attributes(answer.cookie)
    assert cleared["webedt_session"].strip('"') == ""
    assert cleared["max-age"] == "0"
    assert (await app.bearer(first).get("/api/auth/session")).code == "unauthenticated"
    assert (await app.bearer(second).get("/api/auth/session")).status == 200


async def test_logout_all_ends_every_login_of_the_user_and_nobody_elses(app: Running, stranger: Client) -> None:
    email = new_email()
    first = token_of(await app.nobody.post("/api/auth/register", {"email": email, "password": PASSWORD}))
    second = token_of(await app.nobody.post("/api/auth/login", {"email": email, "password": PASSWORD}))
    assert (await app.bearer(second).post("/api/auth/logout-all")).status == 204
    for ended in (first, second):
        assert (await app.bearer(ended).get("/api/auth/session")).status == 401
    assert (await stranger.get("/api/auth/session")).status == 200


async def test_the_logins_are_listed_with_the_current_one_marked(app: Running) -> None:
    email = new_email()
    body = {"email": email, "password": PASSWORD}
    registered = await app.nobody.post("/api/auth/register", body, User_Agent="phone\xff")
    login = await app.nobody.post("/api/auth/login", body, User_Agent="laptop")
    found = (await app.bearer(token_of(login)).get("/api/auth/sessions")).json()
    assert found.keys() == {"sessions"}
    assert all(
        one.keys() == {"id", "createdAt", "expiresAt", "userAgent", "current"} and str(UUID(one["id"])) == one["id"]
        for one in found["sessions"]
    )
    current = {one["id"]: one["current"] for one in found["sessions"]}
    assert current == {login.json()["session"]["id"]: True, registered.json()["session"]["id"]: False}
    assert "laptop" in {one["userAgent"] for one in found["sessions"]}


async def test_the_public_id_of_a_login_logs_nobody_in(app: Running, user: Client) -> None:
    public = (await user.get("/api/auth/session")).json()["session"]["id"]
    for guess in (public, UUID(public).hex):
        assert (await app.bearer(guess).get("/api/auth/session")).status == 401
        assert (await app.browser(guess).get("/api/auth/session")).status == 401


async def test_a_login_can_be_revoked_by_its_id_from_another(app: Running) -> None:
    email = new_email()
    body = {"email": email, "password": PASSWORD}
    lost = await app.nobody.post("/api/auth/register", body)
    here = app.bearer(token_of(await app.nobody.post("/api/auth/login", body)))
    path = f"/api/auth/sessions/{lost.json()['session']['id']}"
    answer = await here.delete(path)
    assert (answer.status, answer.cookie) == (204, None)
    assert (await app.bearer(token_of(lost)).get("/api/auth/session")).status == 401
    assert (await here.get("/api/auth/session")).status == 200
    assert (await here.delete(path)).code == "not_found"


async def test_revoking_ones_own_login_is_a_logout(app: Running, user: Client) -> None:
    own = (await user.get("/api/auth/session")).json()["session"]["id"]
    answer = await app.browser(token(user)).delete(f"/api/auth/sessions/{own}")
    assert answer.status == 204
    assert attributes(answer.cookie)["max-age"] == "0"
    assert (await user.get("/api/auth/session")).status == 401


async def test_nobody_revokes_a_strangers_login(user: Client, stranger: Client) -> None:
    theirs = (await stranger.get("/api/auth/session")).json()["session"]["id"]
    same = user.with_headers(X_Request_ID="same")
    refused, missing = [await same.delete(f"/api/auth/sessions/{one}") for one in (theirs, uuid4())]
    assert refused.status == 404
    assert refused.body == missing.body
    assert (await stranger.get("/api/auth/session")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": "Bearer caf\u00e9"},
        {"Authorization": "Basic YTpi"},
        {"Cookie": "webedt_session="},
        {"Cookie": "webedt_session=nonsense"},
        {"Cookie": 'webedt_session="; ;;='},
    ],
)
async def test_without_a_valid_login_the_answer_is_401(app: Running, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/api/sessions"), ("POST", "/api/execute-remote"), ("GET", f"/api/resume/{uuid4()}")):
        answer = await app.nobody.ask(method, path, headers={**headers, "Origin": app.origin})
        assert (answer.status, answer.code) == (401, "unauthenticated")


async def test_cookie_and_bearer_are_the_same_login(app: Running, user: Client) -> None:
    by_bearer = (await user.get("/api/auth/session")).json()
    assert (await app.browser(token(user)).get("/api/auth/session")).json() == by_bearer
    lower = app.nobody.with_headers(Authorization=f"bearer {token(user)}")
    assert (await lower.get("/api/auth/session")).json() == by_bearer


async def test_only_a_digest_of_the_token_is_stored(app: Running, user: Client, database: Any) -> None:
    rows = await database.fetch("SELECT sessions::text AS row, token_hash FROM sessions")
    assert rows
    secret = token(user).encode()
    assert not any(secret in row["row"].encode() or secret in bytes(row["token_hash"]) for row in rows)


async def age_login(database: Any, user: Client, days_left: float) -> None:
    public = (await user.get("/api/auth/session")).json()["session"]["id"]
    await database.execute(
        "UPDATE sessions SET expires_at = now() + make_interval(secs => $2) WHERE id = $1", public, days_left * 86400
    )


async def test_a_login_is_prolonged_when_half_of_its_time_is_gone(app: Running, user: Client, database: Any) -> None:
    browser = app.browser(token(user))
    await age_login(database, user, 16)
    assert (await browser.get("/api/sessions")).cookie is None
    await age_login(database, user, 14)
    answer = await browser.get("/api/sessions")
    renewed = attributes(answer.cookie)
    assert renewed["webedt_session"] == token(user)
    assert 29 * 86400 < int(renewed["max-age"]) <= 30 * 86400
    assert (await browser.get("/api/sessions")).cookie is None


async def test_a_stream_renews_the_cookie_too(app: Running, user: Client, database: Any) -> None:
    await age_login(database, user, 14)
    async with app.browser(token(user)).stream("/api/sessions/updates") as stream:
        assert attributes(stream.head["Set-Cookie"])["webedt_session"] == token(user)


async def test_a_logout_that_would_prolong_still_clears_the_cookie(app: Running, user: Client, database: Any) -> None:
    await age_login(database, user, 14)
    answer = await app.browser(token(user)).post("/api/auth/logout")
    assert attributes(answer.cookie)["max-age"] == "0"


async def test_an_expired_login_is_none(app: Running, user: Client, database: Any) -> None:
    await age_login(database, user, -1)
    assert (await user.get("/api/auth/session")).code == "unauthenticated"


async def test_a_login_that_expires_ends_its_streams(user: Client, database: Any) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    async with user.stream(f"/api/resume/{session_id}") as stream:
        await stream.until("caught_up")
        public = (await user.get("/api/auth/session")).json()["session"]["id"]
        await database.execute("UPDATE sessions SET expires_at = now() WHERE id = $1", public)
        await stream.rest()


async def test_no_get_changes_anything(app: Running, user: Client) -> None:
    for path in ("/api/auth/logout", "/api/auth/logout-all", "/api/auth/register", "/api/execute-remote"):
        assert (await user.get(path)).status == 405
    assert (await user.get("/api/auth/session")).status == 200


async def test_the_session_secret_is_what_makes_tokens_valid(start: StartReplica) -> None:
    async with start() as app:
        user = await app.register()
        async with start(session_secrets=("another-secret-that-is-long-enough-too",)) as other:
            assert (await other.bearer(token(user)).get("/api/auth/session")).status == 401
        async with start() as replica:
            assert (await replica.bearer(token(user)).get("/api/auth/session")).status == 200


async def test_a_login_that_is_used_is_stored_under_the_first_secret_once_and_not_prolonged_by_that(
    start: StartReplica, database_url: str
) -> None:
    old, new = "the-secret-until-now-of-all-replicas", "the-secret-from-now-on-of-all-replicas"
    connection = await asyncpg.connect(database_url)
    async with start(session_secrets=(old,)) as app:
        user = await app.register()
    before = dict(await connection.fetchrow("SELECT * FROM sessions"))
    async with start(session_secrets=(new, old)) as app:
        asked = (app.bearer(token(user)).get("/api/auth/session") for _ in range(20))
        answers = await asyncio.gather(*asked)
        assert {(answer.status, answer.cookie) for answer in answers} == {(200, None)}
    after = dict(await connection.fetchrow("SELECT * FROM sessions"))
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"token_hash", "secret_id"}
    async with start(session_secrets=(new,)) as app:
        assert (await app.bearer(token(user)).get("/api/auth/session")).status == 200
    async with start(session_secrets=(old,)) as app:
        assert (await app.bearer(token(user)).get("/api/auth/session")).status == 401
    await connection.close()
