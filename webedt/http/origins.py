"""Which pages may use the API with a user's cookie: those of this host and of `ALLOWED_ORIGINS`."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from webedt.config_values import Network

EXPOSED = "X-Session-ID, X-Run-ID, Location, X-Request-ID, X-Container-ID, Retry-After, ETag, Preference-Applied"
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Request-ID"
ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
PREFLIGHT_SECONDS = "600"


class Origins:
    def __init__(self, allowed: Sequence[str], trusted_proxies: Sequence[Network]) -> None:
        self._allowed = frozenset(allowed)
        self._trusted = tuple(trusted_proxies)

    def is_ours(self, request: web.Request) -> bool:
        """Whether the request proves to come from a page that may use the cookie."""
        origin = request.headers.get("Origin")
        if origin is None:
            return request.headers.get("Sec-Fetch-Site") == "same-origin"
        return self._known(origin, request)

    def is_foreign(self, request: web.Request) -> bool:
        """Whether the request says that it comes from another page; one that says nothing (curl) does not."""
        origin = request.headers.get("Origin")
        if origin is None:
            return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
        return not self._known(origin, request)

    def cross_origin_headers(self, request: web.Request) -> dict[str, str]:
        """CORS headers for an allowed other origin; none for our own host and for strangers."""
        origin = request.headers.get("Origin", "")
        if origin.lower() not in self._allowed:
            return {}
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": EXPOSED,
        }
        if request.method == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
            headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return headers

    def client_address(self, request: web.Request) -> str:
        """The address that attempts are counted for: the last of X-Forwarded-For that no trusted proxy wrote."""
        address = request.remote or "unknown"
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for hop in reversed([item.strip() for item in forwarded if item.strip()]):
            if not self._is_trusted(address):
                break
            address = hop
        return address[:64]

    def _known(self, origin: str, request: web.Request) -> bool:
        origin = origin.lower()
        if origin in self._allowed:
            return True
        try:
            parts = urlsplit(origin)
            port = parts.port
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            return False
        default = 443 if parts.scheme == "https" else 80
        host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
        # Behind a balancer that ends TLS the request itself is plain http, so only host and port are compared.
        return request.host.lower() in ({host, f"{host}:{default}"} if port in (None, default) else {f"{host}:{port}"})

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # A socket for both families shows an IPv4 peer as ::ffff:10.0.0.1.
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._trusted)
