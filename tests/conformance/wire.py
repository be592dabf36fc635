"""HTTP/1.1 read by hand and strictly: a client library would forgive what this is here to find."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.conformance.check import Violation, expect, shown

LARGEST_LINE = 64 * 1024 * 1024
CODES = {
    400: "invalid_request", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 410: "gone", 413: "payload_too_large", 429: "rate_limited", 500: "internal", 503: "unavailable",
}  # fmt: skip
PROBLEM_MEMBERS = {"type", "title", "status", "code", "detail", "requestId"}


@dataclass(frozen=True)
class Address:
    """Where a replica (or what stands in front of the deployment) is reached."""

    url: str
    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises `ValueError` for what is no http(s) URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no http or https URL")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(url.rstrip("/"), parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Head:
    """Status line and header fields of an answer."""

    def __init__(self, raw: bytes, asked: str) -> None:
        self.asked = asked
        lines = raw.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise Violation(f"{asked}: a status line of HTTP/1", lines[0])
        self.status = int(parts[1])
        self.fields: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            expect(colon and name and name == name.strip(), f"{asked}: a header field", line)
            self.fields.append((name.lower(), value.strip()))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name: str) -> str:
        """The one value of a field, empty where there is none."""
        values = self.all(name)
        expect(len(values) <= 1, f"{self.asked}: {name} at most once", values)
        return values[0] if values else ""

    def media_type(self) -> str:
        return self.get("Content-Type").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Answer:
    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def expect(self, status: int, rule: str | None = None) -> Self:
        came = f"{self.status} {self.body[:200].decode(errors='replace')}"
        expect(self.status == status, f"{self.head.asked}: {status}", came, rule)
        return self

    def json(self) -> Any:
        allowed = ("application/json", "application/problem+json")
        expect(self.head.media_type() in allowed, f"{self.head.asked}: JSON", self.head.get("Content-Type"))
        try:
            return json.loads(self.body.decode())
        except ValueError as error:
            raise Violation(
                f"{self.head.asked}: a body that is UTF-8 and JSON", f"{error} {self.body[:200]!r}"
            ) from None

    def problem(self, status: int, rule: str | None = None) -> dict[str, Any]:
        """The answer is this problem, with every member that a problem has."""
        self.expect(status, rule)
        asked = self.head.asked
        kind = self.head.get("Content-Type")
        expect(kind.startswith("application/problem+json"), f"{asked}: application/problem+json", kind, "problems")
        found = self.json()
        expect(isinstance(found, dict) and found.keys() >= PROBLEM_MEMBERS, f"{asked}: every member", found, "problems")
        extra = found.keys() - PROBLEM_MEMBERS - {"errors"}
        expect(not extra, f"{asked}: no other members", sorted(extra), "problems")
        expect(found["code"] == CODES[status], f"{asked}: the code {CODES[status]}", found["code"], "problems")
        expect(found["status"] == status, f"{asked}: the status {status} in the body", found["status"], "problems")
        given = self.head.get("X-Request-ID")
        expect(found["requestId"] == given, f"{asked}: requestId {given}", found["requestId"], "problems")
        texts = [found[name] for name in ("type", "title", "detail")]
        expect(all(isinstance(text, str) and text for text in texts), f"{asked}: texts", shown(texts), "problems")
        return dict(found)


class Connection:
    """One socket for one request. Every wait for the peer is bounded by `patience_seconds`."""

    def __init__(self, address: Address, patience_seconds: float) -> None:
        self._address = address
        self._patience = patience_seconds
        self.asked = ""

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context() if self._address.scheme == "https" else None
        async with asyncio.timeout(self._patience):
            self._reader, self._writer = await asyncio.open_connection(
                self._address.host, self._address.port, ssl=context, limit=LARGEST_LINE
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Head:
        """Send a request and read the answer up to its body. `Host` and `Content-Length` are added unless given."""
        self.asked = f"{method} {self._address.url}{path[:200]}"
        fields = {"Host": self._address.authority, **headers}
        if body is not None:
            fields.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {self._address.prefix}{path} HTTP/1.1", *(f"{key}: {text}" for key, text in fields.items())]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        while True:
            head = Head((await self._until(b"\r\n\r\n"))[:-4], self.asked)
            if head.status != 100:
                return head

    async def body(self, head: Head, method: str) -> bytes:
        if method == "HEAD" or head.status in (204, 304):
            return b""
        return b"".join([piece async for piece in self.pieces(head)])

    async def pieces(self, head: Head) -> AsyncIterator[bytes]:
        """The body as it comes, to its proper end; one that is cut before is a violation."""
        coding, length = head.get("Transfer-Encoding").lower(), head.get("Content-Length")
        expect(not (coding and length), f"{self.asked}: Transfer-Encoding or Content-Length", head.fields)
        if coding == "chunked":
            while True:
                line = (await self._until(b"\r\n"))[:-2].partition(b";")[0]
                try:
                    size = int(line, 16)
                except ValueError:
                    raise Violation(f"{self.asked}: the size of a chunk", line) from None
                piece = await self._exactly(size + 2)
                expect(piece.endswith(b"\r\n"), f"{self.asked}: a chunk that ends", piece[-10:])
                if not size:
                    return
                yield piece[:-2]
        elif length:
            yield await self._exactly(int(length))
        else:
            while piece := await self._some():
                yield piece

    async def _until(self, mark: bytes) -> bytes:
        return await self._wait(self._reader.readuntil(mark))

    async def _exactly(self, count: int) -> bytes:
        return await self._wait(self._reader.readexactly(count))

    async def _some(self) -> bytes:
        return await self._wait(self._reader.read(65536))

    async def _wait(self, awaited: Any) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                return bytes(await awaited)
        except TimeoutError:
            raise Violation(f"{self.asked}: bytes within {self._patience:g} s", "nothing") from None
        except asyncio.IncompleteReadError as error:
            raise Violation(f"{self.asked}: an answer to its end", f"cut off behind {error.partial[-100:]!r}") from None
        except (ConnectionError, asyncio.LimitOverrunError) as error:
            raise Violation(f"{self.asked}: an answer to its end", repr(error)) from None
