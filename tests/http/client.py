"""What the tests call: one replica in this process, and clients of it over real sockets."""

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from tests.http.wire import Answer, Connection, Headers, Stream
from webedt.composition import Replica, compose
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.http.stream_registry import AStreams

PASSWORD = "correct horse battery staple"
CONTAINER = "replica-under-test"
# Long enough to be caught in the middle, and never waited for.
LONG = "[[tokens=100000 rate=20]] take your time"
SHORT = "[[tokens=3 rate=0]] be brief"


@dataclass(frozen=True)
class Client:
    """Who asks: with a token in `Authorization`, with the cookie of a browser, or nobody."""

    port: int
    headers: Headers

    def with_headers(self, **headers: str) -> "Client":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: Headers | None = None, version: str = "HTTP/1.1"
    ) -> Answer:
        """One request on a connection of its own. A body that is not bytes is sent as JSON."""
        async with Connection(self.port) as connection:
            connection.request(method, path, {**self.headers, **(headers or {})}, encoded(body), version)
            head = await connection.head()
            return Answer(head, await connection.body(head, method))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.with_headers(**headers).ask("GET", path)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.with_headers(**headers).ask("POST", path, body)

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.ask("PATCH", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.ask("DELETE", path)

    @asynccontextmanager
    async def stream(
        self, path: str, body: Any = None, *, method: str = "", version: str = "HTTP/1.1", **headers: str
    ) -> AsyncIterator[Stream]:
        """A stream that must have been opened: 200 and an event stream."""
        fields = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with Connection(self.port) as connection:
            method = method or ("GET" if body is None else "POST")
            connection.request(method, path, fields, encoded(body), version)
            head = await connection.head()
            if head.status != 200:
                raise AssertionError(f"{head.status}: {await connection.body(head, 'GET')!r}")
            assert head["Content-Type"] == "text/event-stream"
            yield Stream(connection, head)

    async def start(self, prompt: Any = LONG, **more: Any) -> dict[str, Any]:
        """Begin a run without following it: `{sessionId, runId, status}`."""
        answer = await self.post("/api/execute-remote", {"userRequest": prompt, **more}, Prefer="respond-async")
        assert answer.status == 202, answer.body
        found: dict[str, Any] = answer.json()
        return found

    async def finish(self, prompt: Any = SHORT, **more: Any) -> str:
        """Carry a run to its end and return its session."""
        async with self.stream("/api/execute-remote", {"userRequest": prompt, **more}) as stream:
            await stream.rest()
            return stream.head["X-Session-ID"]


def encoded(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body).encode()


@dataclass(frozen=True)
class Running:
    """A replica that serves on a loopback port."""

    replica: Replica
    port: int
    users: list[UUID] = field(default_factory=list)

    @property
    def nobody(self) -> Client:
        return Client(self.port, {})

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def register(self, email: str | None = None) -> Client:
        """A new user with a Bearer token."""
        answer = await self.nobody.post("/api/auth/register", {"email": email or new_email(), "password": PASSWORD})
        assert answer.status == 201, answer.body
        self.users.append(UUID(answer.json()["user"]["id"]))
        return self.bearer(token_of(answer))

    def bearer(self, token: str) -> Client:
        return Client(self.port, {"Authorization": f"Bearer {token}"})

    def browser(self, token: str) -> Client:
        """The user's own page: the cookie, and the Origin that a browser adds."""
        return Client(self.port, {"Cookie": f"webedt_session={token}", "Origin": self.origin})

    def service(self, token: type[Any]) -> Any:
        return self.replica.provider.get(token)

    def open_streams(self, kind: str) -> int:
        """How many of this kind there are, by the metric."""
        found = self.service(AStreams)._kinds[kind]
        assert isinstance(found, int)
        return found


def new_email() -> str:
    return f"{uuid4().hex[:12]}@example.com"


def token_of(answer: Answer) -> str:
    cookie = answer.cookie
    assert cookie is not None
    name, _, value = cookie.partition(";")[0].partition("=")
    assert name == "webedt_session"
    return value


def token(client: Client) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def running(settings: Settings, *, initialize: bool = True) -> AsyncIterator[Running]:
    """The real application as `webedt serve` runs it, in this process."""
    replica = compose(settings)
    runner = web.AppRunner(replica.application, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(replica.provider.reset)
        stack.push_async_callback(replica.pipeline.finish)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        if initialize:
            await replica.provider.initialize()
            replica.lifecycle.initialized = True
            await replica.provider.get(ADatabase).wait_until_ready()
        stack.push_async_callback(replica.provider.get(AStreams).drain)
        yield Running(replica, port)
