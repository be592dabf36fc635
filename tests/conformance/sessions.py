"""Sessions: the list, changes, deletion, and the stream of the list."""

import time
from typing import Any
from uuid import uuid4

from tests.conformance.check import check, expect, expect_equal, expect_members
from tests.conformance.deployment import BRIEF, LONG, Deployment, Run
from tests.conformance.sse import Frame, Stream, ends, events

MEMBERS = (
    "id", "title", "status", "provider", "model", "repositoryUrl", "branch", "favorite", "lastEventId", "createdAt",
    "updatedAt", "completedAt", "deletedAt",
)  # fmt: skip
BAD_PATCHES: list[Any] = [{"title": ""}, {"title": 1}, {"favorite": "yes"}, {"status": "completed"}, [], b"{"]
SOON_SECONDS = 10.0


async def _session(deployment: Deployment, run: Run) -> Any:
    found = (await deployment.there.get(run.session)).expect(200).json()
    expect_members(found.get("session"), MEMBERS, "session", "session")
    return found["session"]


async def _listed(deployment: Deployment, query: str) -> Any:
    found = (await deployment.there.get(f"/api/sessions?{query}")).expect(200).json()
    expect_members(found, ("sessions", "nextCursor"), "the list", "list")
    return found


async def _ids(deployment: Deployment, query: str) -> list[str]:
    return [one["id"] for one in (await _listed(deployment, query))["sessions"]]


@check("session")
async def a_session_has_every_member(deployment: Deployment) -> None:
    """A session has every member, at any replica, and its `lastEventId` is the end of its log."""
    recording = await deployment.record()
    session = await _session(deployment, recording.run)
    for name, wanted in {
        "id": recording.run.session_id, "status": "completed", "provider": "simulated", "favorite": False,
        "lastEventId": recording.last, "deletedAt": None, "repositoryUrl": None, "branch": None,
    }.items():  # fmt: skip
        expect_equal(session[name], wanted, name)
    expect(session["title"] and session["completedAt"], "a title and a time of completion", session)
    newest = (await _listed(deployment, "limit=1"))["sessions"]
    expect_equal(newest, [session], "the newest of the list")


@check("session")
async def the_status_follows_the_runs(deployment: Deployment) -> None:
    """A session is `running` while it runs and `completed` behind it, on every replica."""
    run = await deployment.start(LONG)
    async with deployment.there.stream(run.resume) as stream:
        await stream.until("run_started")
        session = await _session(deployment, run)
        expect_equal((session["status"], session["completedAt"]), ("running", None), "status and completedAt")
    await deployment.send(run, BRIEF, onBusy="interrupt")
    await deployment.replay(run)
    for caller in deployment.everywhere:
        expect_equal(await deployment.status(run, caller), "completed", "the session's status")


@check("list")
async def the_list_in_pages(deployment: Deployment) -> None:
    """Pages go from new to old without gap or double, also when something new comes between."""
    word = uuid4().hex
    made = [(await deployment.start(f"{BRIEF} {word}")).session_id for _ in range(5)]
    found: list[str] = []
    query = f"q={word}&limit=2"
    for _ in range(3):
        page = await _listed(deployment, query)
        found += [one["id"] for one in page["sessions"]]
        query = f"q={word}&limit=2&cursor={page['nextCursor']}"
        await deployment.start(f"{BRIEF} {word}")
    expect_equal(found, made[::-1], "from new to old")
    expect_equal(page["nextCursor"], None, "nextCursor of the last page")


@check("list")
async def the_list_by_status_and_words(deployment: Deployment) -> None:
    """The list can be asked for a status and for words of the title; what cannot be asked is refused."""
    word = uuid4().hex
    failed = (await deployment.record(f"[[tokens=2 rate=0 error_after=1]] {word}")).run.session_id
    done = (await deployment.record(f"[[tokens=2 rate=0]] {word}")).run.session_id
    expect_equal(await _ids(deployment, f"q={word}"), [done, failed], "both")
    expect_equal(await _ids(deployment, f"q={word.upper()}&status=failed"), [failed], "the failed one")
    expect_equal(await _ids(deployment, f"q={word}&status=running"), [], "the running ones")
    for query in ("status=nonsense", "limit=0", "limit=x", "cursor=x", "deleted=maybe"):
        (await deployment.here.get(f"/api/sessions?{query}")).problem(400)


@check("patch")
async def rename_and_mark(deployment: Deployment) -> None:
    """Title and favourite are kept, one without the other; what is no change is refused."""
    run = (await deployment.record()).run
    answer = (await deployment.here.patch(run.session, {"title": "New \u00fc title", "favorite": True})).expect(200)
    expect_equal(await _session(deployment, run), answer.json()["session"], "the session as it was answered")
    session = (await deployment.there.patch(run.session, {"favorite": False})).expect(200).json()["session"]
    expect_equal((session["title"], session["favorite"]), ("New \u00fc title", False), "title and favorite")
    for body in BAD_PATCHES:
        (await deployment.here.patch(run.session, body)).problem(400)


@check("delete")
async def delete_and_restore(deployment: Deployment) -> None:
    """A deleted session is not found on any route but restore, which brings it back with its log."""
    recording = await deployment.record()
    run = recording.run
    (await deployment.here.delete(run.session)).expect(204)
    for answer in (
        await deployment.there.get(run.session), await deployment.there.get(run.resume),
        await deployment.there.get(run.follow), await deployment.there.get(f"{run.session}/events"),
        await deployment.there.post(f"{run.session}/send", {"message": BRIEF}),
        await deployment.there.post(f"{run.session}/interrupt"), await deployment.there.delete(run.session),
    ):  # fmt: skip
        # The session itself may still be shown to its owner, as what it is: deleted.
        if answer.status == 200 and answer.head.asked.startswith("GET") and "session" in answer.json():
            expect(answer.json()["session"]["deletedAt"], "deletedAt", answer.body)
        else:
            answer.problem(404)
    deleted = (await _listed(deployment, "deleted=1&limit=5"))["sessions"]
    expect(run.session_id in [one["id"] for one in deleted if one["deletedAt"]], "it among the deleted", deleted)
    expect(run.session_id not in await _ids(deployment, "limit=5"), "it not in the list", run.session_id)
    restored = (await deployment.there.post(f"{run.session}/restore")).expect(200).json()["session"]
    expect_equal((restored["id"], restored["deletedAt"]), (run.session_id, None), "id and deletedAt")
    page = (await deployment.here.get(f"{run.session}/events")).expect(200).json()
    expect_equal(page["lastEventId"], recording.last, "its log")


@check("delete")
async def delete_ends_runs_and_streams(deployment: Deployment) -> None:
    """Deleting a session interrupts what runs, ends what waits, and ends its streams at every replica."""
    run = await deployment.start(LONG)
    queued = await deployment.send(run, BRIEF)
    async with deployment.there.stream(run.follow) as stream:
        await stream.until("caught_up")
        began = time.monotonic()
        (await deployment.here.delete(run.session)).expect(204)
        await stream.rest()
        took = time.monotonic() - began
    expect(took < SOON_SECONDS, f"an end within {SOON_SECONDS:g} s", f"{took:.1f} s")
    (await deployment.here.post(f"{run.session}/restore")).expect(200)
    found = set(ends(await deployment.replay(run, deployment.there)))
    expect_equal(found, {("interrupted", run.run_id), ("interrupted", queued["runId"])}, "the ends of both runs")


# The list as it changes -----------------------------------------------------------------------------------------------


async def _change(stream: Stream, kind: str, session_id: str) -> Any:
    def wanted(frame: Frame) -> bool:
        return frame.event == kind and bool(frame.data["session"]["id"] == session_id)

    session = (await stream.until(wanted)).data["session"]
    expect_members(session, MEMBERS, f"{kind} with a session", "session")
    return session


@check("updates")
async def the_list_as_it_changes(deployment: Deployment) -> None:
    """The stream of the list begins with a snapshot and tells what is made, renamed, ended and deleted elsewhere."""
    old = (await deployment.record()).run
    async with deployment.there.stream("/api/sessions/updates") as stream:
        snapshot = (await stream.until("snapshot")).data
        expect_members(snapshot, ("sessions",), "a snapshot")
        expect_equal(events(stream.seen), ["snapshot"], "the snapshot first")
        expect(len(snapshot["sessions"]) <= 50, "at most 50", len(snapshot["sessions"]))
        expect_equal(snapshot["sessions"][0], await _session(deployment, old), "the newest first")
        run = await deployment.start(LONG)
        await _change(stream, "created", run.session_id)
        (await deployment.here.patch(old.session, {"title": "renamed"})).expect(200)
        expect_equal((await _change(stream, "updated", old.session_id))["title"], "renamed", "title")
        (await deployment.interrupt(run, deployment.here)).expect(202)
        ended = await _change(stream, "status_changed", run.session_id)
        while ended["status"] != "interrupted":
            ended = await _change(stream, "status_changed", run.session_id)
        (await deployment.here.delete(old.session)).expect(204)
        expect((await _change(stream, "deleted", old.session_id))["deletedAt"], "deletedAt", "none")
        expect(all(frame.id is None for frame in stream.seen), "no ids", [frame.raw for frame in stream.seen][:3])


@check("updates")
async def the_list_needs_no_history(deployment: Deployment) -> None:
    """Who comes back to the stream of the list, with whatever cursor, gets a snapshot that is up to date."""
    run = (await deployment.record()).run
    for caller in deployment.everywhere:
        async with caller.stream("/api/sessions/updates", Last_Event_ID="17") as stream:
            newest = (await stream.until("snapshot")).data["sessions"][0]
        expect_equal((newest["id"], newest["status"]), (run.session_id, "completed"), "the newest session")
