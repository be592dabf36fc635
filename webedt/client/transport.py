"""HTTP to one server: headers, deadlines, and failures turned into this package's exceptions."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from webedt.client.errors import ConnectionFailed, ProtocolError, problem_from_answer


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for one attempt. `silence_seconds` is how long a stream may say nothing; keep-alives come every 15."""

    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    silence_seconds: float = 45.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of status below 300: its JSON object (empty when there was no body) and its cookies."""

    status: int
    body: dict[str, Any]
    cookies: Mapping[str, str]


class Transport:
    """An async context manager around one connection pool. Every method may raise ConnectionFailed, ProtocolError or
    a ProblemError."""

    def __init__(self, base_url: str, token: str | None, deadlines: Deadlines) -> None:
        self.base_url = base_url.rstrip("/")
        self.token = token
        self._deadlines = deadlines
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No cookies: beside a Bearer token they would only ask for an Origin.
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its whole answer, within `answer_seconds`."""
        limits = aiohttp.ClientTimeout(
            total=self._deadlines.answer_seconds, sock_connect=self._deadlines.connect_seconds
        )
        target = f"{path}?{urlencode(query)}" if query else path
        async with self._request(method, target, body, {"Accept": "application/json", **(headers or {})}, limits) as r:
            decoded = await _read_json(r)
            if not isinstance(decoded, dict) and r.status != HTTPStatus.NO_CONTENT:
                raise ProtocolError(f"{self.base_url} does not answer like a WebEDT server")
            cookies = {name: morsel.value for name, morsel in r.cookies.items()}
            return Answer(r.status, decoded if isinstance(decoded, dict) else {}, cookies)

    @asynccontextmanager
    async def open_stream(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A `text/event-stream` (200), 204, or 202 (the prompt is accepted, its stream is not to be had now), as soon
        as its headers are there. The body is the caller's to read; failures while reading are translated on the way
        out."""
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._deadlines.connect_seconds, sock_read=self._deadlines.silence_seconds
        )
        async with self._request(method, path, body, {"Accept": "text/event-stream", **headers}, limits) as response:
            bodiless = (HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED)
            if response.status not in bodiless and response.content_type != "text/event-stream":
                raise ProtocolError(f"{self.base_url} does not answer like a WebEDT server: no event stream")
            yield response

    @asynccontextmanager
    async def open_bytes(
        self,
        method: str,
        path: str,
        *,
        data: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request or an answer that is neither JSON nor a stream of events, in any length; either side may take its
        time as long as something comes."""
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._deadlines.connect_seconds, sock_read=self._deadlines.silence_seconds
        )
        async with self._request(method, path, None, headers or {}, limits, data) as response:
            yield response

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        target: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        limits: aiohttp.ClientTimeout,
        data: AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._http is None:
            raise RuntimeError("the client is used outside its `async with` block")
        login = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with self._http.request(
                method,
                URL(self.base_url + target, encoded=True),
                json=body,
                data=data,
                headers={**login, **headers},
                timeout=limits,
                allow_redirects=False,
            ) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise problem_from_answer(response.status, response.headers, await _read_json(response))
                if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    # Following it would turn a POST into a GET, or carry the token elsewhere.
                    raise ProtocolError(f"{self.base_url} redirects to {response.headers.get('Location', 'nowhere')}")
                yield response
        except aiohttp.InvalidURL as error:
            raise ProtocolError(f"{self.base_url} is not a URL") from error
        except TimeoutError as error:
            raise ConnectionFailed(self.base_url, "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionFailed(self.base_url, _reason(error)) from error


async def _read_json(response: aiohttp.ClientResponse) -> Any:
    try:
        return await asyncio.wait_for(response.json(content_type=None), timeout=10.0)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of the host is unknown"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return "connection refused" if isinstance(error.os_error, ConnectionRefusedError) else str(error.os_error)
    return "the connection broke"
