"""The list of sessions, one session, its changes, and the stream of the list."""

import asyncio
import base64
from typing import Any

import pytest

from tests.http.client import LONG, SHORT, Client, Running
from tests.http.wire import Frame, Stream, events

MEMBERS = {
    "id", "title", "status", "provider", "model", "repositoryUrl", "branch", "favorite", "lastEventId", "createdAt",
    "updatedAt", "completedAt", "deletedAt",
}  # fmt: skip


async def listed(user: Client, query: str = "") -> Any:
    answer = await user.get(f"/api/sessions{query}")
    assert answer.status == 200, answer.body
    found = answer.json()
    assert found.keys() == {"sessions", "nextCursor"}
    assert all(session.keys() == MEMBERS for session in found["sessions"])
    return found


async def ids_of(user: Client, query: str = "") -> list[str]:
    return [session["id"] for session in (await listed(user, query))["sessions"]]


async def test_a_session_has_every_member(user: Client) -> None:
    session_id = await user.finish("[[tokens=1 rate=0]] hello")
    session = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    assert session.keys() == MEMBERS
    assert session == (await listed(user))["sessions"][0]
    assert (session["status"], session["favorite"], session["lastEventId"]) == ("completed", False, 6)
    assert (session["repositoryUrl"], session["branch"], session["deletedAt"]) == (None, None, None)
    assert session["title"] == "[[tokens=1 rate=0]] hello"


async def test_the_status_follows_the_run(user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    session = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    assert (session["status"], session["completedAt"]) == ("running", None)
    await user.post(f"/api/sessions/{session_id}/interrupt")
    async with user.stream(f"/api/resume/{session_id}") as stream:
        await stream.rest()
    session = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    assert session["status"] == "interrupted"
    assert session["completedAt"] is not None


async def test_pages_go_from_new_to_old_without_gap_or_double(user: Client) -> None:
    made = [(await user.start(SHORT))["sessionId"] for _ in range(7)]
    found: list[str] = []
    query = "?limit=3"
    for size in (3, 3, 1):
        page = await listed(user, query)
        assert len(page["sessions"]) == size
        found += [session["id"] for session in page["sessions"]]
        query = f"?limit=3&cursor={page['nextCursor']}"
        await user.start(SHORT)  # what is new does not move the pages
    assert page["nextCursor"] is None
    assert found == made[::-1]


async def test_a_page_that_is_exactly_full_is_the_last(user: Client) -> None:
    for _ in range(3):
        await user.start(SHORT)
    assert (await listed(user, "?limit=3"))["nextCursor"] is None
    assert (await listed(user, "?limit=2"))["nextCursor"] is not None


async def test_nobody_sees_anybody_elses(user: Client, stranger: Client) -> None:
    await stranger.start(SHORT)
    assert await ids_of(user) == []


async def test_the_list_can_be_asked_for_a_status_and_for_words_of_the_title(user: Client) -> None:
    failed = await user.finish("[[tokens=2 rate=0 error_after=1]] Repair the 100% BROKEN parser_x")
    completed = await user.finish("[[tokens=1 rate=0]] write tests")
    running = (await user.start(LONG))["sessionId"]
    assert await ids_of(user, "?status=failed") == [failed]
    assert await ids_of(user, "?status=completed") == [completed]
    assert await ids_of(user, "?status=running") == [running]
    assert await ids_of(user, "?status=pending") == []
    for q in ("broken", "BROKEN%20parser", "100%25", "parser_x", "%20repair%20"):
        assert await ids_of(user, f"?q={q}") == [failed], q
    assert await ids_of(user, "?q=parserax") == []
    assert await ids_of(user, "?q=100%25x") == []
    assert await ids_of(user, "?q=broken&status=completed") == []
    assert len(await ids_of(user, "?q=&status=&deleted=&cursor=&limit=")) == 3
    assert await ids_of(user, "?q=%00%ff%ed%a0%80") == []
    assert await ids_of(user, "?q=" + "x" * 200) == []
    refused = await user.get("/api/sessions?q=" + "x" * 201)
    assert (refused.status, refused.json()["errors"][0]["path"]) == (400, "?q")


CURSORS = [
    "x", "%00", "%ff", "====", base64.urlsafe_b64encode(b"x y").decode(),
    base64.urlsafe_b64encode(b"2024-01-01T00:00:00 00000000-0000-0000-0000-000000000000").decode(),
    base64.urlsafe_b64encode(b"0001-01-01T00:00:00+23:59 00000000-0000-0000-0000-000000000000").decode(),
    base64.urlsafe_b64encode(b"9999-12-31T23:59:59-23:59 00000000-0000-0000-0000-000000000000").decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ["status=queued", "status=%00", "limit=0", "limit=-1", "limit=x", "limit=1000000", "deleted=maybe",
     "favorite=perhaps",
     *(f"cursor={cursor}" for cursor in CURSORS)],
)  # fmt: skip
async def test_a_list_that_cannot_be_is_refused(user: Client, query: str) -> None:
    answer = await user.get(f"/api/sessions?{query}")
    assert (answer.status, answer.code) == (400, "invalid_request")


# Changes --------------------------------------------------------------------------------------------------------------


async def test_a_title_and_a_favourite_are_kept(user: Client) -> None:
    session_id = await user.finish()
    before = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    answer = await user.patch(f"/api/sessions/{session_id}", {"title": " New \u00fc\n title ", "favorite": True})
    assert answer.status == 200
    session = answer.json()["session"]
    assert (session["title"], session["favorite"]) == ("New \u00fc title", True)
    assert (await ids_of(user, "?favorite=1"), await ids_of(user, "?favorite=0")) == ([session_id], [])
    assert session["updatedAt"] > before["updatedAt"]
    assert session == (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    session = (await user.patch(f"/api/sessions/{session_id}", {"favorite": False})).json()["session"]
    assert (session["title"], session["favorite"]) == ("New \u00fc title", False)
    assert (await user.patch(f"/api/sessions/{session_id}", {})).json()["session"]["title"] == "New \u00fc title"


@pytest.mark.parametrize(
    "body",
    [{"title": ""}, {"title": "  "}, {"title": 1}, {"title": "x" * 201}, {"favorite": "yes"}, {"favorite": 1},
     {"status": "completed"}, {"userId": "x"}, [], "x", None],
)  # fmt: skip
async def test_a_change_that_cannot_be_is_refused(user: Client, body: Any) -> None:
    session_id = await user.finish()
    answer = await user.patch(f"/api/sessions/{session_id}", body)
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_a_deleted_session_is_gone_from_the_list_and_can_be_restored(user: Client) -> None:
    session_id = await user.finish()
    answer = await user.delete(f"/api/sessions/{session_id}")
    assert (answer.status, answer.body) == (204, b"")
    assert await ids_of(user) == []
    assert await ids_of(user, "?deleted=1") == [session_id]
    assert (await listed(user, "?deleted=1"))["sessions"][0]["deletedAt"] is not None
    for asked in (
        await user.get(f"/api/resume/{session_id}"),
        await user.get(f"/api/sessions/{session_id}/events"),
        await user.get(f"/api/sessions/{session_id}/events/stream"),
        await user.post(f"/api/sessions/{session_id}/send", {"message": "x"}),
        await user.post(f"/api/sessions/{session_id}/interrupt"),
        await user.patch(f"/api/sessions/{session_id}", {"title": "x"}),
        await user.delete(f"/api/sessions/{session_id}"),
    ):
        assert (asked.status, asked.code) == (404, "not_found")
    restored = await user.post(f"/api/sessions/{session_id}/restore")
    assert restored.status == 200
    assert restored.json()["session"]["deletedAt"] is None
    assert await ids_of(user) == [session_id]
    assert (await user.post(f"/api/sessions/{session_id}/restore")).status == 200
    assert len((await user.get(f"/api/sessions/{session_id}/events")).json()["events"]) == 8


async def test_delete_ends_what_runs_and_what_waits(user: Client) -> None:
    first = await user.start(LONG)
    session_id = first["sessionId"]
    queued = (await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})).json()
    assert (await user.delete(f"/api/sessions/{session_id}")).status == 204
    await user.post(f"/api/sessions/{session_id}/restore")
    async with user.stream(f"/api/resume/{session_id}") as stream:
        found = await stream.rest()
    ended = {frame.data["runId"] for frame in found if frame.event == "interrupted"}
    assert ended == {first["runId"], queued["runId"]}
    assert "completed" not in events(found)


# The list as it changes -----------------------------------------------------------------------------------------------


async def change(stream: Stream, kind: str, session_id: str) -> Any:
    def wanted(frame: Frame) -> bool:
        return frame.event == kind and frame.data["session"]["id"] == session_id

    return (await stream.until(wanted))[-1].data["session"]


async def test_the_list_stream_begins_with_a_snapshot_and_tells_every_change(user: Client) -> None:
    old = await user.finish()
    async with user.stream("/api/sessions/updates") as stream:
        first = (await stream.until("snapshot"))[-1]
        assert [session["id"] for session in first.data["sessions"]] == [old]
        assert first.data["sessions"][0].keys() == MEMBERS

        session_id = (await user.start(LONG))["sessionId"]
        assert (await change(stream, "created", session_id)).keys() == MEMBERS
        await user.patch(f"/api/sessions/{old}", {"title": "renamed"})
        assert (await change(stream, "updated", old))["title"] == "renamed"
        await user.post(f"/api/sessions/{session_id}/interrupt")
        assert (await change(stream, "status_changed", session_id))["status"] == "interrupted"
        await user.delete(f"/api/sessions/{old}")
        assert (await change(stream, "deleted", old))["deletedAt"] is not None
        assert all(frame.id is None for frame in stream.seen)
        assert stream.seen[0].retry is not None


async def test_a_reconnect_of_the_list_stream_needs_no_history(user: Client) -> None:
    async with user.stream("/api/sessions/updates") as stream:
        await stream.until("snapshot")
    session_id = await user.finish()
    async with user.stream("/api/sessions/updates", Last_Event_ID="17") as stream:
        found = (await stream.until("snapshot"))[-1].data["sessions"]
        assert [(session["id"], session["status"]) for session in found] == [(session_id, "completed")]


async def test_a_snapshot_holds_the_newest_50(user: Client, database: Any) -> None:
    made = [(await user.start("[[tokens=0 rate=0]]"))["sessionId"] for _ in range(52)]
    async with user.stream("/api/sessions/updates") as stream:
        found = (await stream.until("snapshot"))[-1].data["sessions"]
    assert [session["id"] for session in found] == made[:1:-1]


async def test_the_list_stream_tells_nothing_of_others(user: Client, stranger: Client) -> None:
    async with user.stream("/api/sessions/updates") as stream:
        await stream.until("snapshot")
        theirs = await stranger.finish()
        mine = await user.finish()
        await change(stream, "status_changed", mine)
        assert theirs.encode() not in stream.raw


async def test_a_hostile_title_cannot_break_a_frame_of_the_list(user: Client) -> None:
    session_id = await user.finish("a\u2028b\rc\x85 data: x\n\nevent: deleted\n\n")
    async with user.stream("/api/sessions/updates") as stream:
        session = (await stream.until("snapshot"))[-1].data["sessions"][0]
        assert session["id"] == session_id
        await user.patch(f"/api/sessions/{session_id}", {"title": "x\u2029y\x0bdata: \x00"})
        assert "\ufffd" in (await change(stream, "updated", session_id))["title"]


async def test_an_http_1_0_client_reads_the_list_unchunked(app: Running, user: Client) -> None:
    async with user.stream("/api/sessions/updates", version="HTTP/1.0") as stream:
        assert "Transfer-Encoding" not in stream.head
        async with asyncio.timeout(5):
            await stream.until("snapshot")
            session_id = await user.finish()
            await change(stream, "created", session_id)
