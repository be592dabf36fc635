"""Who asks: requests and streams to one address, with a Bearer token, with a cookie, or as nobody."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.conformance.check import expect, violate
from tests.conformance.sse import Stream
from tests.conformance.wire import Address, Answer, Connection

COOKIE = "webedt_session"


@dataclass(frozen=True)
class Caller:
    address: Address
    patience_seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)

    def at(self, address: Address) -> "Caller":
        return replace(self, address=address)

    def having(self, **headers: str) -> "Caller":
        """The same caller who also sends these; `Last_Event_ID` is `Last-Event-ID`."""
        return replace(self, headers={**self.headers, **_named(headers)})

    def nobody(self) -> "Caller":
        return replace(self, headers={})

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def browser(self) -> "Caller":
        """The same login by the cookie, and no word about which page asks."""
        return replace(self, headers={"Cookie": f"{COOKIE}={self.token}"})

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own. A body that is not bytes is sent as JSON."""
        async with Connection(self.address, self.patience_seconds) as connection:
            head = await connection.ask(method, path, self._fields(body, headers), encoded(body))
            return Answer(head, await connection.body(head, method))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.ask("POST", path, body, **headers)

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.ask("PATCH", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.ask("DELETE", path)

    @asynccontextmanager
    async def stream(self, path: str, body: Any = None, **headers: str) -> AsyncIterator[Stream]:
        """A stream that must open: 200 and an event stream."""
        method = "GET" if body is None else "POST"
        async with Connection(self.address, self.patience_seconds) as connection:
            head = await connection.ask(method, path, self._fields(body, headers), encoded(body))
            if head.status != 200:
                violate(f"{head.asked}: 200", f"{head.status} {(await connection.body(head, method))[:200]!r}")
            expect(head.media_type() == "text/event-stream", f"{head.asked}: a stream", head.fields, "headers")
            yield Stream(connection, head)

    def _fields(self, body: Any, headers: Mapping[str, str]) -> dict[str, str]:
        typed = {} if body is None else {"Content-Type": "application/json"}
        return {**typed, **self.headers, **_named(headers)}


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def encoded(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body).encode()


def token_of(answer: Answer) -> str:
    """The login in an answer's cookie."""
    for cookie in answer.head.all("Set-Cookie"):
        name, _, value = cookie.partition(";")[0].partition("=")
        if name == COOKIE and value:
            return value
    violate(f"{answer.head.asked}: the cookie {COOKIE}", answer.head.all("Set-Cookie"), "login")
