"""Workspace files as clients see them: bytes both ways, what their headers say, what paths cannot do, and who is kept
out. Races and crashes are tests/services/test_files.py's.
"""

import asyncio
import base64
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psutil
import pytest
import pytest_asyncio

from tests.http.client import Client, Running
from tests.http.conftest import StartReplica
from tests.http.wire import Answer, Connection
from tests.support.waiting import eventually
from webedt.domain.errors import RateLimited, Unavailable
from webedt.http import file_bodies
from webedt.http.transfers import Transfers

MIB = 1024 * 1024


class Files:
    """The files of one session."""

    def __init__(self, client: Client, session_id: str) -> None:
        self.client = client
        self.base = f"/api/sessions/{session_id}/files"
        self.session_id = session_id

    async def put(self, path: str, content: bytes, **headers: str) -> Answer:
        return await self.client.with_headers(**headers).ask("PUT", f"{self.base}/{path}", content)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.client.get(f"{self.base}/{path}", **headers)

    async def delete(self, path: str, **headers: str) -> Answer:
        return await self.client.with_headers(**headers).delete(f"{self.base}/{path}")

    async def listed(self) -> dict[str, Any]:
        answer = await self.client.get(self.base)
        assert answer.status == 200
        found: dict[str, Any] = answer.json()
        assert found.keys() == {"files", "usedBytes", "quotaBytes"}
        return found

    async def paths(self) -> list[str]:
        return [file["path"] for file in (await self.listed())["files"]]


@pytest_asyncio.fixture(loop_scope="session")
async def session_id(user: Client) -> str:
    return await user.finish()


@pytest.fixture
def files(user: Client, session_id: str) -> Files:
    return Files(user, session_id)


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


async def test_bytes_come_back_as_they_were_put_and_the_list_says_so(files: Files) -> None:
    content = os.urandom(100_000)
    put = await files.put("src/a%20file.bin", content)
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    assert (put.status, put.head["ETag"]) == (201, etag)
    told = put.json()
    assert told == {"path": "src/a file.bin", "size": 100_000, "modifiedAt": told["modifiedAt"], "etag": etag}
    got = await files.get("src/a%20file.bin")
    assert (got.status, got.body, got.head["ETag"]) == (200, content, etag)
    assert got.head["Content-Length"] == "100000"
    assert got.head["Repr-Digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
    assert got.head["Last-Modified"] == http_date(told["modifiedAt"])
    again = await files.put("src/a%20file.bin", b"")
    assert (again.status, (await files.get("src/a%20file.bin")).body) == (200, b"")
    await files.put("b", b"12345")
    listed = await files.listed()
    assert [(file["path"], file["size"]) for file in listed["files"]] == [("b", 5), ("src/a file.bin", 0)]
    assert listed["files"][1] == {name: again.json()[name] for name in ("path", "size", "modifiedAt")}
    assert (listed["usedBytes"], listed["quotaBytes"]) == (5, 5 * 1024**3)
    assert (await files.delete("b")).status == 204
    for answer in (await files.delete("b"), await files.get("b"), await files.client.ask("HEAD", f"{files.base}/b")):
        assert answer.status == 404
    assert await files.paths() == ["src/a file.bin"]


def http_date(text: str) -> str:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).strftime("%a, %d %b %Y %H:%M:%S GMT")


async def test_head_says_what_get_would(files: Files) -> None:
    await files.put("a", b"12345", Content_Type="text/plain")
    got, headed = await files.get("a"), await files.client.ask("HEAD", f"{files.base}/a")
    assert (headed.status, headed.body) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Last-Modified", "Accept-Ranges", "Content-Disposition"):
        assert headed.head[name] == got.head[name]


# Who may --------------------------------------------------------------------------------------------------------------


async def test_files_of_somebody_else_of_nobody_and_of_a_deleted_session_are_not_found(
    files: Files, stranger: Client, user: Client
) -> None:
    await files.put("secret", b"mine")

    async def ask(client: Client, session_id: str) -> list[Any]:
        theirs = Files(client.with_headers(X_Request_ID="same"), session_id)
        answers = [
            await theirs.client.get(theirs.base),
            await theirs.get("secret"),
            await theirs.get("secret", If_None_Match="*"),
            await theirs.get("secret", Range="bytes=0-1"),
            await theirs.put("secret", b"theirs"),
            await theirs.put("new", b"theirs"),
            await theirs.delete("secret"),
        ]
        assert {problem(answer) for answer in answers} == {(404, "not_found")}
        return [answer.json() for answer in answers]

    unknown = await ask(stranger, str(uuid4()))
    assert await ask(stranger, files.session_id) == unknown
    assert (await files.get("secret")).body == b"mine"
    await user.delete(f"/api/sessions/{files.session_id}")
    assert await ask(user, files.session_id) == unknown
    await user.post(f"/api/sessions/{files.session_id}/restore")
    assert (await files.get("secret")).body == b"mine"


async def test_two_sessions_have_files_of_their_own(files: Files, user: Client) -> None:
    other = Files(user, await user.finish())
    await files.put("same", b"one")
    await other.put("same", b"other")
    assert ((await files.get("same")).body, (await other.get("same")).body) == (b"one", b"other")
    assert (await files.listed())["usedBytes"] == (await other.listed())["usedBytes"] == 8


# Paths ----------------------------------------------------------------------------------------------------------------

ESCAPES = [
    "..", ".", "../x", "../../../etc/passwd", "a/../../x", "a/..", "./a", "a/./b", "%2e%2e/x", "%2E%2E%2Fx", "..%2fx",
    "..%2f..%2f..%2fetc%2fpasswd", "%252e%252e%252fx", "..%252fx", "%25252e%25252e%25252fx", "a%255cb", "..%5cx",
    "..\\x", "a%5cb", "%2fetc%2fpasswd", "/etc/passwd", "//x", "a//b", "a%2f%2fb", "a/", "a%2f", "%00", "a%00.txt",
    "a%2500", "%0a", "a%0d%0ab", "a%7f", "%c2%85", "%e2%80%a8", "%ff", "%c0%ae%c0%ae/x", "%c0%af", "%ed%a0%80", "%zz",
    "a%", "x" * 1025, quote("é" * 513), "%" + "25" * 10 + "41",
]  # fmt: skip


async def test_a_path_that_is_none_is_refused_and_nothing_escapes(app: Running, files: Files) -> None:
    before = storage_of(app)
    for path in ESCAPES:
        answers = [await files.put(path, b"x"), await files.get(path), await files.delete(path)]
        assert {problem(answer) for answer in answers} == {(400, "invalid_request")}, path
    absolute = await files.client.ask("PUT", f"{app.origin}{files.base}/../../x", b"x")
    assert problem(absolute) == (400, "invalid_request")
    assert problem(await files.put("", b"x")) == (404, "not_found")
    assert await files.listed() == {"files": [], "usedBytes": 0, "quotaBytes": 5 * 1024**3}
    assert storage_of(app) == before


def storage_of(app: Running) -> set[Path]:
    return set(Path(app.replica.settings.storage_url.removeprefix("file://")).rglob("*"))


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("a/b/c", "a/b/c"),
        ("a%2Fb%2Fc", "a/b/c"),
        ("...", "..."),
        ("..a/b..", "..a/b.."),
        ("100%25", "100%"),
        ("a%2520b", "a%20b"),
        ("a+b&c=d;e", "a+b&c=d;e"),
        ("a%3Fb%23c", "a?b#c"),
        ("a?q=1", "a"),
        ("%F0%9F%98%80.txt", "😀.txt"),
        ("e%CC%81", "\u00e9"),
        ("%20", " "),
        ("x" * 1024, "x" * 1024),
        ("%EF%BC%8E%EF%BC%8E%EF%BC%8Fx", "\uff0e\uff0e\uff0fx"),
        ("con/nul.txt", "con/nul.txt"),
        ("%3Cscript%3E%22%27", "<script>\"'"),
        ("{id}", "{id}"),
    ],
)
async def test_an_odd_name_is_a_name(files: Files, sent: str, path: str) -> None:
    answer = await files.put(sent, b"content")
    assert (answer.status, answer.json()["path"]) == (201, path)
    assert (await files.get(sent)).body == b"content"
    assert (await files.get(quote(path, safe=""))).body == b"content"
    assert await files.paths() == [path]
    assert (await files.delete(quote(path))).status == 204


async def test_a_file_may_stand_where_another_one_has_a_folder(files: Files) -> None:
    for path in ("a", "a/b", "a/b/c"):
        await files.put(path, path.encode())
    await files.delete("a/b")
    assert await files.paths() == ["a", "a/b/c"]
    assert (await files.get("a/b/c")).body == b"a/b/c"


# Headers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("multipart/x-mixed-replace; boundary=x", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("text/plain; charset=utf-7", "text/plain; charset=utf-8"),
        ("TEXT/PLAIN", "text/plain; charset=utf-8"),
        ("image/png", "image/png"),
        ("application/json", "application/json"),
    ],
)
async def test_a_file_is_never_a_page_of_ours(files: Files, sent: str, given: str) -> None:
    await files.put("x.html", b"<script>alert(1)</script>", Content_Type=sent)
    for answer in (await files.get("x.html"), await files.get("x.html", Range="bytes=0-3")):
        assert answer.head["Content-Type"] == given
        assert answer.head["X-Content-Type-Options"] == "nosniff"
        assert answer.head["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.head["Content-Disposition"] == "attachment; filename*=UTF-8''x.html"
        assert answer.head["Cache-Control"] == "private, no-cache"


async def test_the_name_to_save_as_cannot_break_out_of_its_header(files: Files) -> None:
    await files.put("dir/%22%3B%20filename%3D%22x.exe%C3%A9", b"")
    given = (await files.get("dir/%22%3B%20filename%3D%22x.exe%C3%A9")).head["Content-Disposition"]
    assert given == "attachment; filename*=UTF-8''%22%3B%20filename%3D%22x.exe%C3%A9"


async def test_a_client_that_has_the_content_is_told_so(files: Files) -> None:
    put = await files.put("a", b"content")
    etag, date = put.head["ETag"], (await files.get("a")).head["Last-Modified"]
    for known in (etag, "*", f'"x", {etag}', f"W/{etag}"):
        answer = await files.get("a", If_None_Match=known)
        assert (answer.status, answer.body, answer.head["ETag"]) == (304, b"", etag)
    assert (await files.get("a", If_Modified_Since=date)).status == 304
    assert (await files.get("a", If_Modified_Since=date, If_None_Match='"x"')).status == 200
    assert (await files.get("a", If_Modified_Since="Mon, 01 Jan 2001 00:00:00 GMT")).status == 200
    await files.put("a", b"another")
    assert (await files.get("a", If_None_Match=etag)).body == b"another"


async def test_a_change_may_depend_on_what_is_there(files: Files) -> None:
    etag = (await files.put("a", b"first", If_None_Match="*")).head["ETag"]
    refused = [
        await files.put("a", b"x", If_None_Match="*"),
        await files.put("a", b"x", If_None_Match=etag),
        await files.put("a", b"x", If_Match='"another"'),
        await files.put("a", b"x", If_Match=f"W/{etag}"),
        await files.put("b", b"x", If_Match="*"),
        await files.delete("a", If_Match='"another"'),
    ]
    assert {problem(answer) for answer in refused} == {(409, "conflict")}
    for bad in ("nonsense", '"open', "a, b"):
        assert problem(await files.put("a", b"x", If_Match=bad)) == (400, "invalid_request")
    assert (await files.get("a")).body == b"first"
    second = await files.put("a", b"second", If_Match=f'"another", {etag}')
    assert second.status == 200
    assert (await files.delete("a", If_Match=second.head["ETag"])).status == 204


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=9-99", (9, 10)),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-1,4-5", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("lines=0-3", None),
        ("bytes=٣-", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
async def test_a_part_can_be_asked_for(files: Files, asked: str, part: tuple[int, int] | None) -> None:
    await files.put("a", b"0123456789")
    answer = await files.get("a", Range=asked)
    if part is None:
        assert (answer.status, answer.body) == (200, b"0123456789")
        return
    assert (answer.status, answer.body) == (206, b"0123456789"[part[0] : part[1]])
    assert answer.head["Content-Range"] == f"bytes {part[0]}-{part[1] - 1}/10"


async def test_a_part_that_is_not_there_is_said_to_be_none(files: Files) -> None:
    etag = (await files.put("a", b"0123456789")).head["ETag"]
    for asked in ("bytes=10-", "bytes=-0"):
        answer = await files.get("a", Range=asked)
        assert problem(answer) == (416, "range_not_satisfiable")
        assert answer.head["Content-Range"] == "bytes */10"
    assert (await files.get("a", Range="bytes=1-", If_Range=etag)).body == b"123456789"
    assert (await files.get("a", Range="bytes=1-", If_Range='"old"')).body == b"0123456789"


async def test_a_body_is_compared_with_its_digest(files: Files) -> None:
    good, bad = (base64.b64encode(hashlib.sha256(one).digest()).decode() for one in (b"content", b"another"))
    assert (await files.put("a", b"content", Content_Digest=f"sha-256=:{good}:")).status == 201
    assert (await files.put("a", b"content", Content_Digest=f"md5=:x:, sha-256=:{good}:;a=1")).status == 200
    assert (await files.put("a", b"content", Content_Digest="md5=:x:")).status == 200
    for name in ("Content-Digest", "Repr-Digest"):
        for value in (f"sha-256=:{bad}:", "sha-256=:%%:", "sha-256=:AAAA:", f"sha-256={good}"):
            answer = await files.client.ask("PUT", f"{files.base}/a", b"content", headers={name: value})
            assert problem(answer) == (400, "invalid_request"), value
    assert (await files.get("a")).head["Repr-Digest"] == f"sha-256=:{good}:"


async def test_an_encoded_body_is_refused_before_it_is_read(files: Files) -> None:
    for headers in ({"Content_Encoding": "gzip"}, {"Content_Range": "bytes 0-1/5"}):
        assert problem(await files.put("a", b"x", **headers)) == (400, "invalid_request")
    assert await files.paths() == []


# The quota ------------------------------------------------------------------------------------------------------------


async def test_what_goes_over_the_quota_is_refused_before_it_is_sent_and_while_it_comes(start: StartReplica) -> None:
    async with start(storage_quota_bytes=10) as app:
        user = await app.register()
        files = Files(user, await user.finish())
        await files.put("a", b"12345")
        over = await files.put("b", b"123456")
        assert problem(over) == (413, "payload_too_large")
        assert over.json()["detail"] == "Of 10 bytes for all your files 5 are used and 5 are free now."
        headers = {**user.headers, "Content-Length": "6", "Expect": "100-continue"}
        async with Connection(app.port) as connection:
            connection.request("PUT", f"{files.base}/b", headers)
            assert (await connection.reader.readline()).startswith(b"HTTP/1.1 413")
        async with Connection(app.port) as connection:
            connection.request("PUT", f"{files.base}/b", {**headers, "Content-Length": "5"})
            assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.send(b"12345")
            assert (await connection.head()).status == 201
        await files.delete("b")
        async with Connection(app.port) as connection:
            connection.request("PUT", f"{files.base}/b", {**user.headers, "Content-Length": "9" * 19})
            assert (await connection.head()).status in (400, 413)
        async with Connection(app.port) as connection:
            connection.request("PUT", f"{files.base}/b", {**user.headers, "Transfer-Encoding": "chunked"})
            connection.send(b"3\r\n123\r\n3\r\n456\r\n0\r\n\r\n")
            assert (await connection.head()).status == 413
        listed = await files.listed()
        assert (len(listed["files"]), listed["usedBytes"], listed["quotaBytes"]) == (1, 5, 10)


# On the way -----------------------------------------------------------------------------------------------------------


async def test_large_files_pass_in_little_memory_both_ways(app: Running, files: Files) -> None:
    process, mebibytes = psutil.Process(), 96
    piece, most = os.urandom(MIB), process.memory_info().rss
    before = most
    digest = hashlib.sha256()
    async with Connection(app.port) as connection:
        connection.request(
            "PUT", f"{files.base}/large", {**files.client.headers, "Content-Length": str(mebibytes * MIB)}
        )
        for _ in range(mebibytes):
            connection.send(piece)
            digest.update(piece)
            await connection.writer.drain()
            most = max(most, process.memory_info().rss)
        head = await connection.head()
    assert (head.status, head["ETag"]) == (201, f'"{digest.hexdigest()}"')
    received, size = hashlib.sha256(), 0
    async with Connection(app.port) as connection:
        connection.reader._limit = MIB  # type: ignore[attr-defined]
        connection.request("GET", f"{files.base}/large", files.client.headers)
        await connection.head()
        while size < mebibytes * MIB:
            taken = await connection.reader.read(MIB)
            received.update(taken)
            size += len(taken)
            most = max(most, process.memory_info().rss)
    assert received.digest() == digest.digest()
    assert (most - before) / MIB < 48


async def test_a_client_that_leaves_in_the_middle_changes_nothing(app: Running, files: Files, database: Any) -> None:
    await files.put("a", b"old")
    before = storage_of(app)
    async with Connection(app.port) as connection:
        connection.request("PUT", f"{files.base}/a", {**files.client.headers, "Content-Length": str(20 * MIB)})
        for _ in range(8):
            connection.send(bytes(MIB))
        await connection.writer.drain()
        await eventually(lambda: open_uploads(database, files), "the upload has begun")
    await eventually(lambda: is_tidy(database, files), "nothing is left of it")
    assert (await files.get("a")).body == b"old"
    assert (await files.listed())["usedBytes"] == 3
    assert storage_of(app) == before


async def open_uploads(database: Any, files: Files) -> int:
    query = "SELECT count(*) FROM loose_objects WHERE chat_session_id = $1"
    found: int = await database.fetchval(query, files.session_id)
    return found


async def is_tidy(database: Any, files: Files) -> bool:
    query = "SELECT max(reserved_bytes) FROM user_storage u JOIN chat_sessions s USING (user_id) WHERE s.id = $1"
    return not await open_uploads(database, files) and not await database.fetchval(query, files.session_id)


async def slow_download(app: Running, files: Files, path: str) -> AsyncIterator[bytes]:
    """First its beginning; then, when it is asked for again, all the rest that comes."""
    async with Connection(app.port) as connection:
        connection.reader._limit = 64 * 1024  # type: ignore[attr-defined]
        connection.request("GET", f"{files.base}/{path}", files.client.headers)
        assert (await connection.head()).status == 200
        yield await connection.reader.readexactly(1024)
        rest = b""
        while taken := await connection.reader.read(MIB):
            rest += taken
        yield rest


async def test_a_download_of_what_is_replaced_has_one_content_or_is_cut(
    app: Running, files: Files, database: Any
) -> None:
    size = 24 * MIB
    await files.put("a", b"a" * size)
    for change in ("replace", "delete"):
        download = slow_download(app, files, "a")
        begun = await anext(download)
        await (files.put("a", b"b" * size) if change == "replace" else files.delete("a"))
        await eventually(lambda: is_tidy(database, files), "the old content is removed")
        got = begun + await anext(download)
        await download.aclose()
        assert set(got) == ({ord("a")} if change == "replace" else {ord("b")})
        assert len(got) < size, "the socket's buffers cannot hold so much"


async def test_a_login_that_ends_ends_its_transfers(
    app: Running, user: Client, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_bodies, "LOOK_SECONDS", 0.0)
    await files.put("a", bytes(24 * MIB))
    download = slow_download(app, files, "a")
    begun = await anext(download)
    async with Connection(app.port) as upload:
        upload.request("PUT", f"{files.base}/b", {**user.headers, "Content-Length": str(2 * MIB)})
        upload.send(bytes(MIB))
        assert (await user.post("/api/auth/logout")).status == 204
        assert len(begun + await anext(download)) < 24 * MIB
        upload.send(bytes(MIB))
        assert (await upload.head()).status == 401
    await download.aclose()


async def test_a_client_that_sends_or_takes_nothing_does_not_stay(
    app: Running, user: Client, files: Files, monkeypatch: pytest.MonkeyPatch, database: Any
) -> None:
    await files.put("a", bytes(24 * MIB))
    monkeypatch.setattr(file_bodies, "IDLE_SECONDS", 0.1)
    async with Connection(app.port) as upload:
        upload.request("PUT", f"{files.base}/b", {**user.headers, "Content-Length": "5"})
        assert (await upload.head()).status == 400
    cut = 'method="GET",route="/api/sessions/{id}/files/{path}",status="499"} '

    async def cuts() -> float:
        lines = (await app.nobody.get("/metrics")).body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if cut in line)

    before = await cuts()

    async def is_cut() -> bool:
        return await cuts() > before

    download = slow_download(app, files, "a")
    await anext(download)
    await eventually(is_cut, "the download is cut")
    await download.aclose()
    await eventually(lambda: is_tidy(database, files), "nothing is left of the upload")


async def test_who_moves_too_many_files_at_a_time_waits_and_is_told(user: Client) -> None:
    transfers, one, other = Transfers(3, 2, patience_seconds=0.05), uuid4(), uuid4()
    entered, leave = [], asyncio.Event()

    async def move(user_id: Any) -> None:
        async with transfers.place(user_id):
            entered.append(user_id)
            await leave.wait()

    moving = [asyncio.create_task(move(one)) for _ in range(2)]
    await eventually(lambda: len(entered) == 2, "two move")
    with pytest.raises(RateLimited):
        await move(one)
    moving.append(asyncio.create_task(move(other)))
    await eventually(lambda: len(entered) == 3, "another user's moves")
    with pytest.raises(Unavailable):
        await move(other)
    late = asyncio.create_task(move(other))
    leave.set()
    await asyncio.gather(*moving, late)
    assert len(entered) == 4
    assert not transfers._users


async def test_a_replica_that_stops_lets_files_pass_and_takes_no_more() -> None:
    transfers, user_id, hurry = Transfers(), uuid4(), asyncio.Event()
    leave, entered = asyncio.Event(), asyncio.Event()

    async def move() -> None:
        async with transfers.place(user_id):
            entered.set()
            await leave.wait()

    moving = asyncio.create_task(move())
    await entered.wait()
    await transfers.drain(0.01, hurry)
    assert not moving.done()
    draining = asyncio.create_task(transfers.drain(60, hurry))
    with pytest.raises(Unavailable):
        await move()
    leave.set()
    await asyncio.wait_for(draining, 5)
    await moving
    entered.clear()
    hurry.set()
    await asyncio.wait_for(transfers.drain(60, hurry), 5)


async def test_a_store_that_is_away_is_unavailable_and_nothing_else_is(start: StartReplica) -> None:
    aws = {"aws_endpoint_url": "http://127.0.0.1:9", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    async with start(storage_url="s3://bucket", **aws) as app:
        user = await app.register()
        files = Files(user, await user.finish())
        answer = await files.put("a", b"x")
        assert problem(answer) == (503, "unavailable")
        assert int(answer.head["Retry-After"]) >= 1
        assert await files.listed() == {"files": [], "usedBytes": 0, "quotaBytes": 5 * 1024**3}
        assert (await app.nobody.get("/ready")).status == 200


async def test_a_store_that_cannot_be_made_is_no_reason_not_to_start(start: StartReplica) -> None:
    with tempfile.NamedTemporaryFile() as file:
        async with start(storage_url=f"{Path(file.name).as_uri()}/below") as app:
            user = await app.register()
            assert problem(await Files(user, await user.finish()).put("a", b"x")) == (503, "unavailable")
