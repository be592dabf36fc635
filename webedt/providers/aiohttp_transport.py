"""A transport for httpx2, in which the SDK speaks, over aiohttp, in which the rest of the program does.

The SDK's own transport parses HTTP in Python and passes every chunk through anyio: 147 µs of CPU for a chunk that comes
alone, against 63 with aiohttp's parser in C, which also hands over in one piece what has come in many. Imported only
when the SDK is loaded, for httpx2 is a part of what takes long.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import aiohttp
import httpx2
from yarl import URL


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """One client's connections, through `proxy` if there is one. `trace_configs` are those of aiohttp."""

    def __init__(
        self, tls: ssl.SSLContext, proxy: str | None = None, trace_configs: Sequence[aiohttp.TraceConfig] = ()
    ) -> None:
        self._tls = tls
        self._proxy = proxy
        self._trace_configs = trace_configs
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        waits = request.extensions.get("timeout", {})
        with _errors_of_httpx():
            response = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=body or None,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=None, connect=waits.get("connect"), sock_read=waits.get("read")),
            )
        return httpx2.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # httpx2 does that
                trace_configs=list(self._trace_configs),
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # Not `release`: what is left of an answer nobody wants is not to be read, the connection goes at once.
        self._response.close()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """The texts stay behind: aiohttp's may quote headers, hence the key."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise httpx2.ConnectTimeout("connecting took too long") from None
    except TimeoutError:
        raise httpx2.ReadTimeout("silent too long") from None
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(f"cannot connect ({type(error).__name__})") from None
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
        raise httpx2.RemoteProtocolError(f"cut off ({type(error).__name__})") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise httpx2.NetworkError(type(error).__name__) from None
