"""The official SDK of Anthropic: loaded when it is needed, a client for each request.

Owns how a client comes to be, so that one key serves one request and nothing else decides where it goes. Importing the
SDK costs seconds of CPU and happens in a thread. A client costs 0.2 ms, since all share one TLS context (25 ms), which
holds certificates and neither keys nor connections.
"""

import asyncio
import importlib
import ssl
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from webedt.domain.secrets import Secret
from webedt.providers.interface import ProviderError
from webedt.providers.refusals import disconnected, refused, silent, unavailable

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

UPSTREAM = "Anthropic"
BASE_URL = "https://api.anthropic.com"
CONNECT_SECONDS = 10.0
# How the API names in the middle of a stream what would have been a status before it.
# Source: https://docs.claude.com/en/api/errors
_STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicSDK:
    """What one provider needs of the SDK. `load` before anything else.

    `resources` are modules of the SDK that it imports at first use: on the event loop, if they were not named here.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        max_retries: int = 2,
        resources: tuple[str, ...] = ("anthropic.resources.messages",),
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self._base_url = base_url or BASE_URL
        self._max_retries = max_retries
        self._resources = resources
        self._trace_configs = trace_configs
        self._loading = asyncio.Lock()
        self._sdk: Any = None
        self._httpx: Any = None
        self._transport: Any = None
        self._tls: ssl.SSLContext | None = None
        self._proxy: str | None = None

    @property
    def loaded(self) -> bool:
        return self._sdk is not None

    async def load(self) -> None:
        """Import the SDK, once. Whoever comes meanwhile waits."""
        if self._sdk is None:
            async with self._loading:
                if self._sdk is None:
                    await asyncio.to_thread(self._load)

    def _load(self) -> None:
        self._httpx = importlib.import_module("httpx2")
        self._transport = importlib.import_module("webedt.providers.aiohttp_transport")
        # The last is what anyio imports at its first sleep, which would be in the first retry.
        for resource in (*self._resources, "anyio._backends._asyncio"):
            importlib.import_module(resource)
        self._tls = self._httpx.create_ssl_context()
        self._proxy = _proxy(self._base_url)
        self._sdk = importlib.import_module("anthropic")

    def client(
        self, api_key: Secret, *, read_seconds: float | None = None, max_retries: int | None = None
    ) -> "AsyncAnthropic":
        """A client of one's own: `async with` it, nobody else may see it. Raises `ProviderError` for an unusable key.

        `read_seconds`: longest silence of the connection, if it is to have a bound here. Redirects are not followed:
        they would carry the conversation elsewhere.
        """
        key = api_key.reveal()
        if not key.isascii() or not key.isprintable():
            # What sends it would fail, with a message that quotes it.
            raise refused(UPSTREAM, 401)
        timeout = self._httpx.Timeout(read_seconds, connect=CONNECT_SECONDS)
        transport = self._transport.AiohttpTransport(self._tls, self._proxy, self._trace_configs)
        # Whatever is not given here the SDK would look for in the environment and in the files of whoever runs us.
        client: AsyncAnthropic = self._sdk.AsyncAnthropic(
            api_key=key,
            base_url=self._base_url,
            webhook_key="",
            max_retries=self._max_retries if max_retries is None else max_retries,
            timeout=timeout,
            http_client=self._httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False),
            open_telemetry=False,
        )
        # ANTHROPIC_CUSTOM_HEADERS could carry another key; the SDK has no argument that leaves it out.
        client._custom_headers = {}
        return client

    def provider_error(self, error: Exception, *, begun: bool = False) -> ProviderError | None:
        """What an exception of the SDK or of its transport means; None if it is neither. `begun`: the answer had."""
        if isinstance(error, self._sdk.APITimeoutError | self._httpx.TimeoutException):
            return silent(UPSTREAM, begun=begun)
        if isinstance(error, self._sdk.APIStatusError):
            # An `error` event in a stream is an APIStatusError too: with the status 200 that the stream began with.
            return refused(UPSTREAM, error.status_code) if error.status_code >= 300 else error_event(error.type)
        if isinstance(error, self._sdk.APIError | self._httpx.HTTPError):
            return disconnected(UPSTREAM) if begun else unavailable(UPSTREAM)
        return None


def error_event(kind: Any) -> ProviderError:
    """What the `error.type` of an error object means that came without a status of its own."""
    return refused(UPSTREAM, _STATUS_OF_ERROR.get(kind, 500) if isinstance(kind, str) else 500)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`; none for plain http, which stays on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get("https") or proxies.get("all")
