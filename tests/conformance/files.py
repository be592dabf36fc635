"""Workspace files: bytes both ways, and nowhere else. Of each session its own."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from tests.conformance.caller import Caller
from tests.conformance.check import check, expect, expect_equal, expect_members
from tests.conformance.deployment import BRIEF, Deployment

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 16
ESCAPES = (
    "../x", "../../../etc/passwd", "a/../../x", "..%2fx", "%2e%2e/x", "%2e%2e%2fx", "%252e%252e%252fx", "..%5cx",
    "%2fetc%2fpasswd", "a%00b", "%c0%ae%c0%ae/x",
)  # fmt: skip


async def _files(deployment: Deployment, caller: Caller | None = None) -> str:
    """The files of a new session."""
    run = await deployment.start(BRIEF, caller)
    return f"/api/sessions/{run.session_id}/files"


async def _listed(caller: Caller, files: str) -> Any:
    found = (await caller.get(files)).expect(200).json()
    expect_members(found, ("files", "usedBytes", "quotaBytes"), "the list of files", "files")
    return found


@check("files")
async def a_file_comes_back_as_it_was(deployment: Deployment) -> None:
    """What is put at one replica comes back from another, byte for byte, with an `ETag` that changes with it."""
    files = await _files(deployment)
    for path in ("plain", "in/a/folder.txt", "%F0%9F%98%80%20%25"):
        tags = []
        for content in (CONTENT, b"", b"another"):
            answer = await deployment.here.ask("PUT", f"{files}/{path}", content)
            expect(answer.status in (200, 201, 204), f"{answer.head.asked}: stored", answer.status)
            got = (await deployment.there.get(f"{files}/{path}")).expect(200)
            expect(got.body == content, f"{got.head.asked}: the {len(content)} bytes that were put", got.body[:80])
            expect(got.head.get("ETag"), f"{got.head.asked}: an ETag", got.head.fields)
            tags.append(got.head.get("ETag"))
        expect_equal(len(set(tags)), 3, "different ETags of different contents")


@check("files")
async def a_large_file_passes(deployment: Deployment) -> None:
    """A file beyond every limit of other bodies passes both ways."""
    files = await _files(deployment)
    content = uuid4().bytes * (12 * MIB // 16)
    (await deployment.here.ask("PUT", f"{files}/large", content)).expect(201)
    got = (await deployment.there.get(f"{files}/large")).expect(200)
    expect(got.body == content, "12 MiB as they were put", f"{len(got.body)} bytes")
    (await deployment.here.delete(f"{files}/large")).expect(204)


@check("files")
async def files_are_listed_and_removed(deployment: Deployment) -> None:
    """The list names path, size and time of each file and what the user stores; what is removed is gone everywhere."""
    files = await _files(deployment)
    before = (await _listed(deployment.there, files))["usedBytes"]
    for path, size in (("b", 10), ("a/c", 20)):
        await deployment.here.ask("PUT", f"{files}/{path}", bytes(size))
    found = await _listed(deployment.there, files)
    expect_equal(sorted((one["path"], one["size"]) for one in found["files"]), [("a/c", 20), ("b", 10)], "the files")
    for one in found["files"]:
        datetime.fromisoformat(one["modifiedAt"].replace("Z", "+00:00"))
    expect_equal(found["usedBytes"] - before, 30, "the growth of usedBytes")
    (await deployment.there.delete(f"{files}/b")).expect(204)
    for caller in deployment.everywhere:
        (await caller.get(f"{files}/b")).problem(404)
        expect_equal([one["path"] for one in (await _listed(caller, files))["files"]], ["a/c"], "what is left")


@check("files")
async def no_path_leads_out(deployment: Deployment) -> None:
    """A path that tries to leave the session's own space is refused, and stores nothing."""
    files = await _files(deployment)
    for path in ESCAPES:
        for method, body in (("PUT", b"x"), ("GET", None), ("DELETE", None)):
            answer = await deployment.here.ask(method, f"{files}/{path}", body)
            expect(answer.status in (400, 404, 405), f"{answer.head.asked}: refused", answer.status)
            answer.problem(answer.status)
    expect_equal((await _listed(deployment.there, files))["files"], [], "the files")


@check("strangers")
async def another_users_files(deployment: Deployment) -> None:
    """Another user's files answer exactly as those of a session that does not exist, and stay as they are."""
    files, guest = await _files(deployment), (await deployment.guest()).having(X_Request_ID="the-same")
    (await deployment.here.ask("PUT", f"{files}/secret", CONTENT)).expect(201)
    for address in deployment.addresses:
        for method, path, body in (
            ("GET", "", None), ("GET", "/secret", None), ("PUT", "/secret", b"x"), ("PUT", "/new", b"x"),
            ("DELETE", "/secret", None),
        ):  # fmt: skip
            theirs = await guest.at(address).ask(method, f"{files}{path}", body)
            none = await guest.at(address).ask(method, f"/api/sessions/{uuid4()}/files{path}", body)
            theirs.problem(404)
            expect_equal(theirs.body, none.body, f"{theirs.head.asked}: as if it did not exist")
    expect((await deployment.there.get(f"{files}/secret")).body == CONTENT, "the file as it was", "another")
