"""Accounts, logins and goodbyes. Stands last of what needs a login: its end throws the guest out."""

import time
from typing import Any
from uuid import UUID, uuid4

from tests.conformance.caller import token_of
from tests.conformance.check import check, expect, expect_equal, expect_members
from tests.conformance.deployment import LONG, PASSWORD, Deployment
from tests.conformance.sse import Stream, events
from tests.conformance.wire import Answer

SOON_SECONDS = 10.0


def _judge_welcome(answer: Answer, email: str) -> Any:
    found = answer.json()
    expect_members(found, ("user", "session"), answer.head.asked)
    expect_members(found["user"], ("id", "email", "displayName", "createdAt"), "user")
    expect_members(found["session"], ("id", "expiresAt"), "session")
    expect_equal(found["user"]["email"], email, "email")
    token = token_of(answer)
    expect(token not in answer.body.decode(), "no token in the body", "the token")
    [cookie] = [one for one in answer.head.all("Set-Cookie") if one.startswith("webedt_session=")]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    for wanted in ("httponly", "samesite=lax", "path=/"):
        expect(wanted in attributes, f"a cookie with {wanted}", sorted(attributes))
    return found


@check("login", needs_runs=False)
async def register_and_log_in(deployment: Deployment) -> None:
    """Register and login answer who it is, and bring the cookie, for scripts out of reach; email case does not
    matter."""
    await deployment.guest()
    assert deployment.guest_welcome is not None
    mine = _judge_welcome(deployment.guest_welcome, deployment.guest_email)
    answer = await deployment.enter("login", deployment.guest_email.upper(), PASSWORD)
    again = _judge_welcome(answer, deployment.guest_email)
    expect_equal(again["user"], mine["user"], "the same user")
    expect(again["session"]["id"] != mine["session"]["id"], "another login", again)
    (await deployment.bearer(token_of(answer)).post("/api/auth/logout")).expect(204)


@check("login", needs_runs=False)
async def a_taken_email(deployment: Deployment) -> None:
    """An email that is taken is a conflict, whatever its case."""
    await deployment.guest()
    (await deployment.enter("register", deployment.guest_email.upper(), PASSWORD, status=409)).problem(409)


@check("login", needs_runs=False)
async def one_answer_for_unknown_and_wrong(deployment: Deployment) -> None:
    """An unknown user and a wrong password get the same answer."""
    await deployment.guest()
    wrong = await deployment.enter("login", deployment.guest_email, "not the password", status=401)
    unknown = await deployment.enter("login", f"conformance-{uuid4().hex}@example.com", PASSWORD, status=401)
    texts = [{**answer.problem(401), "requestId": ""} for answer in (wrong, unknown)]
    expect_equal(texts[1], texts[0], "the same answer")
    for answer in (wrong, unknown):
        expect(not answer.head.all("Set-Cookie"), "no cookie", answer.head.all("Set-Cookie"))


@check("problems", needs_runs=False)
async def a_registration_that_cannot_be(deployment: Deployment) -> None:
    """A short password, a missing one, or no email is refused."""
    email = f"conformance-{uuid4().hex}@example.com"
    for body in ({}, {"email": email}, {"email": email, "password": "short"}, {"email": email, "password": "x" * 201},
                 {"email": 1, "password": PASSWORD}, b"{"):  # fmt: skip
        (await deployment.nobody.post("/api/auth/register", body)).problem(400)


@check("logins", needs_runs=False)
async def logins_are_listed(deployment: Deployment) -> None:
    """The user's logins are listed, one of them as the current one, and their ids log nobody in."""
    caller = await deployment.guest()
    answer = (await caller.get("/api/auth/sessions", User_Agent="conformance")).expect(200)
    found = answer.json()
    expect_members(found, ("sessions",), "the list")
    for one in found["sessions"]:
        expect_members(one, ("id", "createdAt", "expiresAt", "userAgent", "current"), "a login")
        UUID(one["id"])
        (await deployment.bearer(one["id"]).get("/api/auth/session")).problem(401)
    current = [one["id"] for one in found["sessions"] if one["current"]]
    mine = (await caller.get("/api/auth/session")).expect(200).json()["session"]["id"]
    expect_equal(current, [mine], "the current login")


@check("login", needs_runs=False)
async def a_token_that_is_none(deployment: Deployment) -> None:
    """No token, a wrong one, or half of one is 401, as Bearer and as cookie."""
    token = deployment.user.token
    for headers in (
        {}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Bearer {token[:-1]}"}, {"Authorization": token},
        {"Authorization": "Basic eDp5"}, {"Cookie": "webedt_session=nonsense"}, {"Authorization": "Bearer "},
    ):  # fmt: skip
        (await deployment.nobody.get("/api/auth/session", **headers)).problem(401)


async def _ended(stream: Stream, began: float) -> None:
    await stream.rest()
    took = time.monotonic() - began
    expect(took < SOON_SECONDS, f"an end within {SOON_SECONDS:g} s", f"{took:.1f} s", "goodbye")


@check("goodbye")
async def logout_ends_streams(deployment: Deployment) -> None:
    """A logout at one replica ends the login's streams at the others within seconds, and the login; the run goes on."""
    keeps, leaves = await deployment.guest(), await deployment.guest_again()
    run = await deployment.start(LONG, keeps)
    there = leaves.at(deployment.addresses[-1])
    async with there.stream(run.follow) as stream, there.stream("/api/sessions/updates") as updates:
        await stream.until("caught_up")
        await updates.until("snapshot")
        began = time.monotonic()
        answer = (await leaves.post("/api/auth/logout")).expect(204)
        cleared = [one for one in answer.head.all("Set-Cookie") if one.startswith("webedt_session=")]
        expect(cleared and "max-age=0" in cleared[0].lower(), "a cookie that is cleared", cleared)
        await _ended(stream, began)
        await _ended(updates, began)
    (await there.get("/api/auth/session")).problem(401)
    (await there.get(run.resume)).problem(401)
    expect_equal(await deployment.status(run, keeps), "running", "the session's status")
    (await keeps.delete(run.session)).expect(204)


@check("goodbye")
async def revocation_ends_streams(deployment: Deployment) -> None:
    """A login that is revoked by another one loses its streams within seconds; the other keeps its own."""
    keeps, loses = await deployment.guest(), await deployment.guest_again()
    run = await deployment.start(LONG, keeps)
    public = (await loses.get("/api/auth/session")).expect(200).json()["session"]["id"]
    there = loses.at(deployment.addresses[-1])
    async with there.stream(run.follow) as ended, keeps.stream(run.follow) as stays:
        await ended.until("caught_up")
        await stays.until("caught_up")
        began = time.monotonic()
        (await keeps.delete(f"/api/auth/sessions/{public}")).expect(204)
        await _ended(ended, began)
        await stays.until("text_delta")
    (await there.get("/api/auth/session")).problem(401)
    (await keeps.delete(run.session)).expect(204)


@check("goodbye", needs_runs=False)
async def logout_all_ends_every_login(deployment: Deployment) -> None:
    """Logout-all ends every login of the user and their streams, at every replica, and nobody else's."""
    caller = await deployment.guest()
    there = caller.at(deployment.addresses[-1])
    async with there.stream("/api/sessions/updates") as stream:
        await stream.until("snapshot")
        began = time.monotonic()
        (await caller.post("/api/auth/logout-all")).expect(204)
        deployment.guest_left()
        await _ended(stream, began)
        expect("draining" not in events(stream.seen), "no advice to come back", events(stream.seen)[-2:])
    (await there.get("/api/auth/session")).problem(401)
    (await deployment.there.get("/api/auth/session")).expect(200)
