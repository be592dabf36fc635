"""What no OpenAPI document describes, and so test_openapi.py does not ask: raw bytes in place of JSON, numbers and
texts beyond every measure deep inside good bodies, headers and targets that are hardly HTTP; with a token, as a browser
and as nobody. Whatever it is, the answer is a documented one or a proper problem, and none of it is our fault.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.http.client import CONTAINER, PASSWORD, Client, Running, new_email, token, token_of
from tests.http.wire import Answer, Connection, Stream
from webedt.http.problems import STATUS

TINY = "[[tokens=1 rate=0]] "
# Asked so often of each operation, by each client.
EXAMPLES = 30
CLIENTS = ("bearer", "browser", "nobody")
STREAM = "text/event-stream"
SAFE = {"get", "head"}


def nested(depth: int, last: Any = 0) -> Any:
    for _ in range(depth):
        last = [last] if depth % 2 else {"a": last}
    return last


INFINITE = "1e999"  # sent without its quotes
NUMBERS: list[Any] = [0, -1, 1.5, 2**31, 2**63, 2**64, 2**70, -(2**70), 10**400, 1e308, float("nan"), float("inf")]
TEXTS = ["", " ", "\0", "x\0y", "\ud800", "\udc00\ud800", "😀", "\u2028", "x" * 300, "x" * 20_000, "null", "%s'\""]
SHAPES: list[Any] = [[], {}, [{}], [None], nested(40), nested(61), nested(90)]
JUNK = st.sampled_from([None, True, *NUMBERS, INFINITE, *TEXTS, *SHAPES])
JUNK |= st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RAW = st.binary(max_size=40) | st.sampled_from(
    [b"", b" ", b"{", b'{"a":', b"[" * 50_000, b"1" * 5000, b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"NaN", b"null"]
)
# What is hardly part of a proper path, query or header; never CR or LF, which would end the header.
SEGMENTS = ["%00", "%", "%ZZ", "%FF", "%ED%A0%80", "%2e%2e", "%2F", "..%2f..", ".", "~", "x" * 3000, "0", "-1",
            "None", "{id}", "%7Bid%7D", "a%0D%0Ab", "%F0%9F%98%80", "urn:uuid:" + "0" * 27, "0" * 36,
            "0" * 32]  # fmt: skip
VALUES = ["", "%00", "%FF", "%ED%A0%80", "%0D%0A", "-1", "0", "1", "1.5", "1e9", "9" * 18, "9" * 30, "2147483648",
          "9007199254740992", "%D9%A1", "+1", "%2B1", "NaN", "x", "x" * 3000, "%25%5F%5C", "[]", "a&a=b", "%", "true",
          "MDAwMS0wMS0wMVQwMDowMDowMCAw", "====", "%F0%9F%98%80", "a;b", "null"]  # fmt: skip
FIELDS = ["", " ", "0", "-1", "7", "9" * 30, "x" * 201, "x" * 7000, "x" * 9000, "\x01", "\x7f", "\udcff", "é", "😀",
          "null", "a, b;c=d", "respond-async", "Respond-Async; wait=5", "1,2", '"', "=", "1e3", "٣"]  # fmt: skip
# Of those that the document describes, the first is a proper one.
ODD_FIELDS = {
    "Last-Event-ID": ["1"], "Idempotency-Key": ["k"], "Prefer": ["respond-async", "wait=0"], "X-Request-ID": ["r-1"],
    "Origin": ["null", "http://", "http://[", "http://a:b", "https://evil.example", "http://x:99999"],
    "Sec-Fetch-Site": ["cross-site", "none"], "User-Agent": [], "Accept": ["*/*", STREAM], "Accept-Encoding": ["gzip"],
    "Content-Type": ["text/plain", "application/json; charset=nonsense", "multipart/form-data"],
    "Content-Encoding": ["gzip", "identity", "nonsense"], "Cookie": ["webedt_session=x", "a=b; webedt_session=\udcff"],
    "Authorization": ["Bearer", "Bearer x", "Basic eDp4", "Bearer \udcff"], "X-Forwarded-For": ["1.2.3.4", "::1, x"],
    "Expect": ["100-continue", "nonsense"], "Host": ["x", "[", "x:y", "a b"], "Range": ["bytes=0-1"],
    "If-None-Match": ["*"], "If-Match": ['"x"', "*"], "Content-Digest": ["sha-256=:AAAA:", "md5=:x:", "sha-256="],
    "Forwarded": ["for=x"], "Upgrade": ["websocket"],
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """Ids that mean something."""

    session: str
    strangers: str
    run: str
    login: str
    email: str
    share: str

    @property
    def ids(self) -> st.SearchStrategy[str]:
        return st.sampled_from([self.session] * 3 + [self.strangers, self.run, self.login]) | st.uuids().map(str)


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    fields: dict[str, str]
    body: bytes | None

    def raw(self) -> bytes:
        fields = {"Host": "127.0.0.1", **self.fields}
        if self.body is not None:
            fields["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + (self.body or b"")


class Description:
    """The document, and what can be asked and must be answered by it."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self.operations: list[tuple[str, str, Any]] = [
            (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def resolve(self, schema: Any) -> Any:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    # What is asked ---------------------------------------------------------------------------------------------------

    def values(self, schema: Any, known: Known, name: str = "") -> st.SearchStrategy[Any]:
        """Values that the schema allows. What it cannot say of a text (an email, an id) goes by the name."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "anyOf" in schema:
            return st.one_of([self.values(one, known, name) for one in schema["anyOf"]])
        match schema.get("type"):
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return st.integers(schema.get("minimum", -(2**53)), schema.get("maximum", 2**53))
            case "array":
                items = self.values(schema["items"], known, name)
                return st.lists(items, min_size=schema.get("minItems", 0), max_size=3)
            case "object":
                members = {key: self.values(one, known, key) for key, one in schema["properties"].items()}
                must = {key: one for key, one in members.items() if key in schema.get("required", ())}
                return st.fixed_dictionaries(must, optional={k: v for k, v in members.items() if k not in must})
        low, high = schema.get("minLength", 0), min(schema.get("maxLength", 300), 300)
        text = st.text(min_size=low, max_size=max(low, min(high, 12))) | st.just("x" * high)
        match name:
            case "userRequest" | "message" | "text":
                return text.map(lambda more: TINY + more)
            case "email":
                return st.just(known.email) | st.uuids().map(lambda one: f"{one}@example.com") | text
            case "password":
                return st.just(PASSWORD) | text
            case "websiteSessionId" | "runId":
                return known.ids
            case "provider" | "defaultProvider":
                return st.just("simulated") | text
            case "repoUrl":
                return st.just("https://example.com/a/b") | text
            case "data":
                return st.sampled_from(["QUJD", "QQ==", "AAAA" * 50])
        return text

    def bodies(self, schema: Any, known: Known) -> st.SearchStrategy[bytes]:
        proper = self.values(schema, known)
        broken = st.builds(damaged, proper, JUNK, st.integers(0, 1000), st.sampled_from(["replace", "drop", "add"]))
        return (proper | broken | JUNK).map(as_json) | RAW

    def requests(self, method: str, path: str, operation: Any, known: Known) -> st.SearchStrategy[Asked]:
        parameters = operation.get("parameters", [])
        segment = known.ids | known.ids | st.sampled_from(SEGMENTS) | st.binary(max_size=8).map(quote)
        named = path.replace("{provider}", "anthropic")
        tokens = st.just(known.share) | segment
        target = (
            segment.map(lambda one: named.replace("{id}", one))
            if "{id}" in path
            else tokens.map(lambda one: named.replace("{token}", one))
        )
        if "{path}" in path:
            names = st.sampled_from(["a", "a/b", *SEGMENTS]) | st.binary(max_size=8).map(quote)
            target = st.builds(lambda where, name: where.replace("{path}", name), target, names)
        query: dict[str, st.SearchStrategy[str]] = {"unknown": st.sampled_from(VALUES)}
        fields = {name: st.sampled_from(FIELDS + own) for name, own in ODD_FIELDS.items()}
        described_fields = ["X-Request-ID"]
        for one in parameters:
            described = self.values(one["schema"], known, one["name"]).map(lambda value: quote(str(value)))
            if one["name"] == "wait":
                described = st.just("0")  # one that waits is the business of other tests
            odd = [value for value in VALUES if one["name"] != "wait" or value != "1"]
            if one["in"] == "query":
                query[one["name"]] = described | st.sampled_from(odd)
            elif one["in"] == "header":
                described_fields.append(one["name"])
        content = operation.get("requestBody", {}).get("content", {})
        body: st.SearchStrategy[bytes | None] = st.none() | RAW if method not in SAFE else st.none()
        if "application/json" in content:
            described_bodies = self.bodies(content["application/json"]["schema"], known)
            body = described_bodies | described_bodies | st.none()
        return st.builds(
            Asked,
            st.just(method.upper()),
            st.builds(lambda where, more: where + "".join(more), target, few(query).map(as_query)),
            st.just({}) | few(fields) | st.sampled_from([{name: ODD_FIELDS[name][0]} for name in described_fields]),
            body,
        )

    # What is answered ------------------------------------------------------------------------------------------------

    def judge(self, operation: Any, answer: Answer) -> None:
        """Raises `AssertionError` unless this is a documented status or a proper problem, and no fault of ours."""
        assert answer.status < 500
        assert answer.head["X-Request-ID"]
        assert answer.head["X-Container-ID"] == CONTAINER
        if answer.status >= 400:
            assert STATUS.get(answer.code) == answer.status
        else:
            assert str(answer.status) in operation["responses"], "a status that is not documented"


def few(choices: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[dict[str, str]]:
    """Some of these, with a value each."""
    named = st.lists(st.sampled_from(sorted(choices)), max_size=3, unique=True)
    return named.flatmap(lambda names: st.fixed_dictionaries({name: choices[name] for name in names}))


def as_query(values: dict[str, str]) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in values.items()) if values else ""


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode().replace(f'"{INFINITE}"'.encode(), INFINITE.encode())


def damaged(value: Any, junk: Any, place: int, how: str) -> Any:
    """`value` with one of its members, however deep, made another, taken away or joined by one too many."""
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    if not inner or (how == "add" and place % 2):
        return {**value, "odd": junk} if how == "add" and isinstance(value, dict) else junk
    key, member = inner[place % len(inner)]
    changed = value.copy()
    if isinstance(member, dict | list) and place % 3:
        changed[key] = damaged(member, junk, place // 3, how)
    elif how == "drop":
        del changed[key]
    else:
        changed[key] = junk
    return changed


async def ask(port: int, asked: Asked) -> Answer:
    """The answer; of a stream its first bytes."""
    async with Connection(port) as connection:
        connection.send(asked.raw())
        head = await connection.head()
        if head.status == 200 and head["Content-Type"] == STREAM:
            stream = Stream(connection, head)
            await stream.next()
            return Answer(head, stream.raw)
        return Answer(head, await connection.body(head, asked.method))


class Company:
    """Who asks. A login that a request may have ended is made anew."""

    def __init__(self, app: Running, description: Description) -> None:
        self._app = app
        self._description = description
        self._email = new_email()

    async def known(self) -> Known:
        self._bearer = user = await self._log_in()
        stranger = await self._app.register()
        own, other = await user.start(TINY), await stranger.start(TINY)
        login = (await user.get("/api/auth/session")).json()["session"]["id"]
        share = (await stranger.post(f"/api/sessions/{other['sessionId']}/share")).json()["shareToken"]
        return Known(own["sessionId"], other["sessionId"], own["runId"], login, self._email, share)

    async def join(self) -> None:
        self._bearer = await self._app.register(self._email)

    async def _log_in(self) -> Client:
        answer = await self._app.nobody.post("/api/auth/login", {"email": self._email, "password": PASSWORD})
        assert answer.status == 200, answer.body
        return self._app.bearer(token_of(answer))

    async def ask_as_each(self, operation: Any, asked: Asked) -> None:
        for who in CLIENTS:
            if who != "nobody" and asked.method != "GET" and asked.target.startswith("/api/auth/"):
                self._bearer = await self._log_in()
            of = {
                "bearer": self._bearer,
                "browser": self._app.browser(token(self._bearer)),
                "nobody": self._app.nobody,
            }[who]
            sent = replace(asked, fields={"Host": f"127.0.0.1:{self._app.port}", **of.headers, **asked.fields})
            answer = None
            try:
                answer = await ask(self._app.port, sent)
                self._description.judge(operation, answer)
            except Exception as error:
                told = answer and (answer.status, answer.head.fields, answer.body[:500])
                raise AssertionError(f"{who}: {sent.raw()[:2000]!r}\n-> {told}: {error!r}") from error


async def explore(requests: st.SearchStrategy[Asked], ask_one: Callable[[Asked], Coroutine[Any, Any, None]]) -> None:
    """Hypothesis in a thread, each of its examples on this loop."""
    loop = asyncio.get_running_loop()

    @settings(
        derandomize=True, max_examples=EXAMPLES, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(requests)
    def run(asked: Asked) -> None:
        asyncio.run_coroutine_threadsafe(ask_one(asked), loop).result(60)

    await asyncio.to_thread(run)


async def test_no_request_finds_a_fault_of_ours(app: Running) -> None:
    description = Description((await app.nobody.get("/api/openapi.json")).json())
    company = Company(app, description)
    await company.join()
    assert len(description.operations) > 20
    for method, path, operation in description.operations:
        requests = description.requests(method, path, operation, await company.known())
        await explore(requests, partial(company.ask_as_each, operation))


async def test_an_expectation_that_nobody_knows_is_ignored(app: Running) -> None:
    for path, status in (("/live", 200), ("/api/nothing", 404)):
        for expected in ("nonsense", "\udcff", "100-continue", ""):
            answer = await ask(app.port, Asked("GET", path, {"Expect": expected}, None))
            assert answer.status == status
            assert answer.head["X-Request-ID"]
