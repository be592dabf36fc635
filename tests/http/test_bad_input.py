"""Input that nobody means well: none of it is a 500, and none of it is stored as it came."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.http.client import SHORT, Client, Running, encoded
from tests.http.wire import Answer, Connection

LIMIT = 10 * 1024 * 1024
DEEP = b"[" * 100_000
MALFORMED = [
    b"", b" ", b"{", b"}", b"{]", b"nul", b"'x'", b'{"userRequest":}', b'{"userRequest":"x",}', b'{"userRequest":"x"}}',
    b'{"userRequest":"a\nb"}', b'{"userRequest":"\\x"}', b'{"userRequest":"\\ud8"}', b"NaN", b'{"userRequest":NaN}',
    b'{"userRequest":Infinity}', b"1" * 10_000, DEEP, b'{"a":' * 60 + b"1" + b"}" * 60, b"[]", b'"x"', b"null", b"7",
    b"userRequest=x", b"\xff\xfe", b'{"userRequest":"\xff"}', b'{"userRequest":"\xed\xa0\x80"}', b"\xef\xbb\xbf{}",
    '{"userRequest":"x"}'.encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
async def test_a_body_that_is_no_json_object_is_refused(app: Running, user: Client, raw: bytes) -> None:
    for client, method, path in (
        (user, "POST", "/api/execute-remote"),
        (user, "PATCH", f"/api/sessions/{(await user.start(SHORT))['sessionId']}"),
        (app.nobody, "POST", "/api/auth/login"),
        (app.nobody, "POST", "/api/auth/register"),
    ):
        answer = await client.ask(method, path, raw)
        assert (answer.status, answer.code) == (400, "invalid_request")


async def test_the_content_type_does_not_matter(user: Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "nonsense"):
        answer = await user.post(
            "/api/execute-remote", {"userRequest": SHORT}, Content_Type=kind, Prefer="respond-async"
        )
        assert answer.status == 202


async def prompt_as_stored(user: Client, raw: bytes) -> Any:
    answer = await user.post("/api/execute-remote", raw, Prefer="respond-async")
    assert answer.status == 202, answer.body
    page = await user.get(f"/api/sessions/{answer.json()['sessionId']}/events?limit=1")
    return page.json()["events"][0]["data"]["content"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"a\ud800b", "a\ufffdb"),
        (rb"a\udc00b", "a\ufffdb"),
        (rb"a\udc00\ud800b", "a\ufffd\ufffdb"),
        (rb"a\ud83d\ude00b", "a\U0001f600b"),
        (rb"\ud83d", "\ufffd"),
        (b"a\\u2028\xe2\x80\xa9b", "a\u2028\u2029b"),
        (rb"\r\n\t\u0001\u007f", "\r\n\t\x01\x7f"),
    ],
)
async def test_nul_and_unpaired_surrogates_are_replaced(user: Client, sent: bytes, stored: str) -> None:
    blocks = [{"type": "text", "text": stored}]
    assert await prompt_as_stored(user, b'{"userRequest": "x%s"}' % sent) == [{"type": "text", "text": "x" + stored}]
    assert await prompt_as_stored(user, b'{"userRequest": [{"type": "text", "text": "%s"}]}' % sent) == blocks


async def test_nul_and_surrogates_do_no_harm_anywhere_else(app: Running, user: Client) -> None:
    bad = "x\x00\ud800"
    session_id = await user.finish(bad)
    assert "\ufffd" in (await user.get(f"/api/sessions/{session_id}")).json()["session"]["title"]
    patched = await user.patch(f"/api/sessions/{session_id}", {"title": bad})
    assert patched.json()["session"]["title"] == "x\ufffd\ufffd"
    for body in (
        {"userRequest": SHORT, "model": bad},
        {"userRequest": SHORT, "github": {"repoUrl": f"https://github.com/{bad}", "branch": bad}},
    ):
        answer = await user.post("/api/execute-remote", body, Prefer="respond-async")
        assert answer.status == 202
    for body in ({"userRequest": "x", "provider": bad}, {"userRequest": "x", bad: 1}):
        answer = await user.post("/api/execute-remote", body)
        assert answer.status == 400
    assert (await user.post("/api/execute-remote", {"userRequest": "x", "websiteSessionId": bad})).status == 404
    assert (await app.nobody.post("/api/auth/login", {"email": bad, "password": bad})).status == 401
    name = {"email": "bad-name@example.com", "password": "12345678", "displayName": bad}
    assert (await app.nobody.post("/api/auth/register", name)).json()["user"]["displayName"] == "x\ufffd\ufffd"


# Size -----------------------------------------------------------------------------------------------------------------


def prompt_of(size: int) -> bytes:
    """A body of exactly so many bytes."""
    frame = len(encoded({"userRequest": "", "model": "m"}) or b"")
    body = encoded({"userRequest": "x" * (size - frame), "model": "m"}) or b""
    assert len(body) == size
    return body


async def test_a_declared_length_over_10_mb_is_refused_before_it_is_sent(app: Running, user: Client) -> None:
    for path in ("/api/execute-remote", "/api/auth/login"):
        async with Connection(app.port) as connection:
            connection.request("POST", path, {**user.headers, "Content-Length": str(LIMIT + 1)})
            async with asyncio.timeout(5):
                head = await connection.head()
                answer = Answer(head, await connection.body(head, "POST"))
            assert (answer.status, answer.code) == (413, "payload_too_large")


async def test_a_chunked_body_over_10_mb_is_refused(app: Running, user: Client) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with Connection(app.port) as connection:
        connection.request("POST", "/api/execute-remote", {**user.headers, "Transfer-Encoding": "chunked"})
        for _ in range(LIMIT // 65536 + 1):
            connection.send(chunk)
        head = await connection.head()
        answer = Answer(head, await connection.body(head, "POST"))
        assert (answer.status, answer.code) == (413, "payload_too_large")


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(app: Running, user: Client) -> None:
    packed = gzip.compress(prompt_of(LIMIT + 100))
    answer = await user.post("/api/execute-remote", packed, Content_Encoding="gzip")
    assert (answer.status, answer.code) == (413, "payload_too_large")


async def test_a_body_of_just_10_mb_is_taken(user: Client) -> None:
    answer = await user.post("/api/execute-remote", prompt_of(LIMIT), Prefer="respond-async")
    assert answer.status == 202


@pytest.mark.parametrize(
    ("headers", "raw"),
    [
        ({"Content-Encoding": "gzip"}, b"this is not gzip"),
        ({"Content-Encoding": "deflate"}, b"\x00\x01\x02"),
        ({"Transfer-Encoding": "chunked"}, b"nonsense\r\n\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"5\r\nhello!!\r\n0\r\n\r\n"),
    ],
    ids=range(4),
)
async def test_a_body_that_cannot_be_unpacked_is_the_clients_fault(
    app: Running, user: Client, headers: dict[str, str], raw: bytes
) -> None:
    answer = await user.with_headers(**{name.replace("-", "_"): value for name, value in headers.items()}).ask(
        "POST", "/api/execute-remote", raw
    )
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_a_client_that_leaves_within_its_body_leaves_nothing_behind(app: Running, user: Client) -> None:
    for path in ("/api/execute-remote", "/api/auth/login"):
        async with Connection(app.port) as connection:
            connection.request("POST", path, {**user.headers, "Content-Length": "1000"})
            connection.send(b'{"userRequest": "x')
            await connection.writer.drain()
            await asyncio.sleep(0.05)
    assert (await user.get("/api/sessions")).json()["sessions"] == []


async def test_a_large_prompt_does_not_stop_the_others(app: Running, user: Client) -> None:
    images = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * (LIMIT - 500)}}]
    large = asyncio.create_task(user.start(images))
    slowest = 0.0
    clock = asyncio.get_running_loop().time
    while not large.done():
        began = clock()
        await app.nobody.get("/live")
        slowest = max(slowest, clock() - began)
    await large
    assert slowest < 0.5


async def test_many_requests_on_one_connection_are_answered_in_order(app: Running, user: Client) -> None:
    async with Connection(app.port) as connection:
        for number in range(5):
            connection.request("GET", "/api/nothing", {**user.headers, "X-Request-ID": f"r{number}"})
        for number in range(5):
            head = await connection.head()
            assert json.loads(await connection.body(head, "GET"))["requestId"] == f"r{number}"
