"""Strangers see nothing."""

from typing import Any
from uuid import uuid4

from tests.conformance.caller import Caller
from tests.conformance.check import check, expect, expect_equal
from tests.conformance.deployment import BRIEF, LONG, Deployment
from tests.conformance.wire import Answer

USER_ROUTES = (
    ("GET", "/api/auth/session"), ("GET", "/api/auth/sessions"), ("POST", "/api/auth/logout"),
    ("POST", "/api/auth/logout-all"), ("GET", "/api/sessions"), ("GET", "/api/sessions/updates"),
    ("POST", "/api/execute-remote"),
)  # fmt: skip


async def _ask_everything(caller: Caller, session_id: str) -> list[Answer]:
    """Every route that takes a session's id."""
    session = f"/api/sessions/{session_id}"
    execute = {"userRequest": BRIEF, "provider": "simulated", "websiteSessionId": session_id}
    asked: list[tuple[str, str, Any]] = [
        ("GET", session, None), ("PATCH", session, {"title": "mine"}), ("DELETE", session, None),
        ("POST", f"{session}/restore", None), ("GET", f"/api/resume/{session_id}", None),
        ("GET", f"/api/resume/{session_id}?lastEventId=1", None), ("GET", f"{session}/events", None),
        ("GET", f"{session}/events?wait=20", None), ("GET", f"{session}/events/stream", None),
        ("POST", f"{session}/send", {"message": BRIEF, "onBusy": "interrupt"}),
        ("POST", f"{session}/interrupt", None), ("POST", f"{session}/interrupt", {"runId": str(uuid4())}),
        ("POST", f"{session}/share", {"expiresInDays": 1}), ("DELETE", f"{session}/share", None),
        ("POST", "/api/execute-remote", execute),
    ]  # fmt: skip
    found = [await caller.ask(method, path, body) for method, path, body in asked]
    found.append(await caller.get(f"/api/resume/{session_id}", Accept="text/event-stream"))
    return found


@check("strangers")
async def another_users_session(deployment: Deployment) -> None:
    """On every route, at every replica, another user's session answers exactly as one that does not exist."""
    run = await deployment.start(LONG)
    guest = (await deployment.guest()).having(X_Request_ID="the-same")
    for address in deployment.addresses:
        theirs = await _ask_everything(guest.at(address), run.session_id)
        nobodys = await _ask_everything(guest.at(address), str(uuid4()))
        for mine, none in zip(theirs, nobodys, strict=True):
            mine.problem(404)
            expect_equal(mine.body, none.body, f"{mine.head.asked}: as if it did not exist")
    expect_equal(await deployment.status(run), "running", "the session's status")
    (await deployment.interrupt(run)).expect(202)


@check("strangers")
async def another_users_lists(deployment: Deployment) -> None:
    """Lists, searches and the stream of the list tell nothing of other users."""
    guest = await deployment.guest()
    async with guest.at(deployment.addresses[-1]).stream("/api/sessions/updates") as stream:
        await stream.until("snapshot")
        word = uuid4().hex
        mine = await deployment.record(f"{BRIEF} {word}")
        theirs = await deployment.start(f"{BRIEF} {word}", guest)
        await stream.until(lambda frame: frame.event == "created" and frame.data["session"]["id"] == theirs.session_id)
        expect(mine.run.session_id.encode() not in stream.raw, "nothing of the other user", mine.run.session_id)
    for caller, run in ((guest, theirs), (deployment.here, mine.run)):
        found = (await caller.get(f"/api/sessions?q={word}")).expect(200).json()["sessions"]
        expect_equal([one["id"] for one in found], [run.session_id], "the sessions with this word")


@check("strangers", needs_runs=False)
async def another_users_login(deployment: Deployment) -> None:
    """Nobody can end another user's login."""
    guest = await deployment.guest()
    public = (await deployment.here.get("/api/auth/session")).expect(200).json()["session"]["id"]
    await guest.delete(f"/api/auth/sessions/{public}")
    (await deployment.there.get("/api/auth/session")).expect(200)


@check("strangers", needs_runs=False)
async def nobody_is_unauthenticated(deployment: Deployment) -> None:
    """Without a login every route of users is 401, ids or not."""
    for method, path in USER_ROUTES:
        (await deployment.nobody.ask(method, path)).problem(401)
    for answer in await _ask_everything(deployment.nobody, str(uuid4())):
        answer.problem(401)
