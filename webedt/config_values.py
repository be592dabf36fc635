"""How each kind of setting is read from its text. Each raises `ValueError`, whose words follow the variable's name."""

import ipaddress
import json
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MIN_SECRET_LENGTH = 32


class Unquotable(ValueError):
    """A fault in a value that may hold a secret: it is not repeated in the message."""


def text(value: str) -> str:
    return value


def name(value: str) -> str:
    """It stands in a header of every answer."""
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        raise ValueError("must have at most 128 printable ASCII characters and no space")
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value.lower()

    return parse


def number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = kind(value)
        except ValueError:
            raise ValueError(f"must be {'a whole number' if kind is int else 'a number'}") from None
        if not low <= number <= high:
            raise ValueError(f"must be between {low:g} and {high:g}")
        return number

    return parse


def switch(value: str) -> bool:
    if value.lower() in ("on", "true", "1", "yes"):
        return True
    if value.lower() in ("off", "false", "0", "no"):
        return False
    raise ValueError("must be on or off")


def postgres_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    try:
        parts = urlsplit(value)
        readable = parts.port is None or parts.port > 0
        parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        readable = False
    if not readable:
        # Not a word of it is quoted: what cannot be read may be the password.
        raise ValueError("cannot be read; in a password / ? # [ ] @ : and % must be percent-encoded")
    return value


def redis_url(value: str) -> str:
    if not value.startswith(("redis://", "rediss://")):
        raise ValueError("must begin with redis:// or rediss://")
    from redis.asyncio import ConnectionPool  # takes a tenth of a second, for those who use it

    try:
        parts = urlsplit(value)
        readable = bool(parts.hostname) and re.fullmatch(r"/?\d*", parts.path) is not None
        ConnectionPool.from_url(value).make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):  # TypeError: an option that no connection has
        readable = False
    if not readable:
        # Not a word of it is quoted: what cannot be read may be the password.
        raise ValueError(
            "cannot be read: it has no host, an unknown option, or a password in which / ? # [ ] @ : and % are not "
            "percent-encoded"
        )
    return value


def http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http(s) URL")
    if parts.username or parts.password:
        raise Unquotable("must not carry a user or a password")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("plain http is allowed on loopback only")
    return value.rstrip("/")


def collector_url(value: str) -> str:
    """Plain http is how collectors are reached beside a replica or inside a cluster."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http(s) URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Unquotable("must end behind its path and carry no password; keys are OTEL_EXPORTER_OTLP_HEADERS")
    return value


def pairs(value: str) -> tuple[tuple[str, str], ...]:
    """As OpenTelemetry and W3C Baggage write them: `key=value,key=value`, values percent-encoded."""
    items = [item.partition("=") for item in value.split(",") if item.strip()]
    if any(not key.strip() or not equals for key, equals, _ in items):
        raise Unquotable("must be key=value pairs, comma-separated")
    return tuple((key.strip(), unquote(text.strip())) for key, _, text in items)


def storage_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.username or parts.password:
        raise Unquotable("must not carry a user or a password; those are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.query or parts.fragment:
        raise ValueError("must end behind its path; other characters must be percent-encoded")
    bucket = parts.scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc)
    directory = parts.scheme == "file" and not parts.netloc and len(parts.path) > 1
    if not bucket and not directory:
        raise ValueError("must be s3://bucket/prefix or file:///directory")
    return value


def origins(value: str) -> tuple[str, ...]:
    origins = tuple(item.strip().rstrip("/").lower() for item in value.split(",") if item.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
    return origins


def emails(value: str) -> tuple[str, ...]:
    """As accounts are stored: lower case."""
    emails = tuple(item.strip().lower() for item in value.split(",") if item.strip())
    for email in emails:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise ValueError(f"{email!r} is not an email address such as name@example.com")
    return emails


def networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item.strip(), strict=False) for item in value.split(",") if item.strip())
    except ValueError as error:
        raise ValueError(f"must be a list of CIDRs: {error}") from None


def api_key(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ValueError("must have printable ASCII characters only, and no space")
    return value


def secrets(value: str) -> tuple[str, ...]:
    """Each once. How long they must be depends on where this is."""
    secrets = tuple(dict.fromkeys(item.strip() for item in value.split(",") if item.strip()))
    if not secrets:
        raise ValueError("has nothing but commas")
    return secrets


def keys(value: str) -> tuple[str, ...]:
    keys = tuple(item.strip() for item in value.split(",") if item.strip())
    if not keys or any(len(key) < MIN_SECRET_LENGTH for key in keys):
        raise ValueError(f"each key must have at least {MIN_SECRET_LENGTH} characters")
    return keys


def arguments(value: str) -> tuple[str, ...]:
    try:
        arguments = json.loads(value)
    except ValueError:
        arguments = None
    if (
        not isinstance(arguments, list)
        or not arguments
        or not all(isinstance(item, str) and item for item in arguments)
    ):
        raise ValueError('must be a JSON list of texts, such as ["my-agent", "--json"]')
    return tuple(arguments)
