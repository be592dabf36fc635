"""Which pages may use the API with a user's cookie: those of this host and of `ALLOWED_ORIGINS`. What this host is to
who asks, and from where.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from webedt.config_values import Network
from webedt.domain.errors import FieldError, InvalidRequest

EXPOSED = "X-Session-ID, X-Run-ID, Location, X-Request-ID, X-Container-ID, Retry-After, ETag, Preference-Applied"
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, Traceparent, Tracestate, X-Request-ID"
)
ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
PREFLIGHT_SECONDS = "600"
_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)


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

    def own_origin(self, request: web.Request) -> str:
        """Scheme and host by which this server was asked, for a URL that is to be passed on.

        A page of this host knows best; else a trusted proxy that ends TLS in front of us; else what came in. A caller
        who lies is answered with its own lie. Raises `InvalidRequest` when the host is none.
        """
        scheme, host = request.scheme, request.host
        if self._is_trusted(request.remote or ""):
            host = _first(request, "X-Forwarded-Host") or host
            forwarded = _first(request, "X-Forwarded-Proto").lower()
            scheme = forwarded if forwarded in ("http", "https") else scheme
        if not _HOST.fullmatch(host):
            raise InvalidRequest("Host names no host.", errors=[FieldError("Host", "must be a name or an address")])
        origin = request.headers.get("Origin", "").lower()
        return f"{origin.partition(':')[0] if _names(origin, host) else scheme}://{host}"

    def _known(self, origin: str, request: web.Request) -> bool:
        origin = origin.lower()
        return origin in self._allowed or _names(origin, request.host)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # A socket for both families shows an IPv4 peer as ::ffff:10.0.0.1.
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._trusted)


def _names(origin: str, host: str) -> bool:
    """Whether an origin is a page of this host."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return False
    default = 443 if parts.scheme == "https" else 80
    name = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    # Behind a balancer that ends TLS the request itself is plain http, so only host and port are compared.
    return host.lower() in ({name, f"{name}:{default}"} if port in (None, default) else {f"{name}:{port}"})


def _first(request: web.Request, name: str) -> str:
    """What the outermost proxy wrote into a header that each may add to."""
    return request.headers.get(name, "").partition(",")[0].strip()
