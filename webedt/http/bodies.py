"""Reading what clients send: JSON bodies into typed structs, queries and path ids into values. Faults are 400 or 404.

The standard library parses (it takes escaped unpaired surrogates, which the contract wants replaced and not refused),
msgspec judges the shape; unknown fields are refused there.
"""

import asyncio
import json
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web

from webedt.domain.errors import FieldError, InvalidRequest, NotFound, PayloadTooLarge
from webedt.domain.text import clean_text

T = TypeVar("T", bound=msgspec.Struct)

MAX_BODY_BYTES = 10 * 1024 * 1024
LARGE_BODY_BYTES = 128 * 1024
MAX_DEPTH = 50
MAX_INTEGER = 2**53
BODY_SECONDS = 60.0


async def read_body(request: web.Request, shape: type[T]) -> tuple[T, Any]:
    """The body as `shape` and as plain JSON. Raises `InvalidRequest` or `PayloadTooLarge`."""
    raw = await read_raw(request)
    if not raw.strip():
        raise InvalidRequest("A JSON body is expected.")
    # 10 MiB of JSON take longer than the loop may be held.
    return await asyncio.to_thread(_judge, raw, shape) if len(raw) > LARGE_BODY_BYTES else _judge(raw, shape)


def _judge(raw: bytes, shape: type[T]) -> tuple[T, Any]:
    value = _parse(raw)
    try:
        return msgspec.convert(value, shape, strict=True), value
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        where = path.rstrip("`") or "$"
        raise InvalidRequest(
            f"The body is not as expected: {message} at {where}.", errors=[FieldError(where, message)]
        ) from None


async def read_optional_body(request: web.Request, shape: type[T]) -> T:
    """As `read_body`, but no body means every default."""
    if not request.can_read_body or not (await read_raw(request)).strip():
        return shape()
    return (await read_body(request, shape))[0]


async def read_raw(request: web.Request) -> bytes:
    """The body; refused by its declared length before a byte of it is read."""
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The body may have at most {MAX_BODY_BYTES} bytes.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        # Who spells a body out byte by byte does not hold its connection for as long as it likes.
        raise InvalidRequest(f"The body did not come within {BODY_SECONDS:g} seconds.") from None
    except web.HTTPRequestEntityTooLarge:
        raise PayloadTooLarge(f"The body may have at most {MAX_BODY_BYTES} bytes.") from None
    except web.RequestPayloadError:
        raise InvalidRequest("The body is not encoded as its headers say.") from None


def _parse(raw: bytes) -> Any:
    try:
        return _clean(json.loads(raw.decode(), parse_constant=_refuse_constant))
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not UTF-8.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deep.") from None
    except ValueError as error:
        text = f": {error.msg} at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest(f"The body is not JSON{text}.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _clean(value: Any, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise RecursionError
    match value:
        case str():
            return clean_text(value)
        case dict():
            return {clean_text(key): _clean(item, depth + 1) for key, item in value.items()}
        case list():
            return [_clean(item, depth + 1) for item in value]
        case float() if value.is_integer() and abs(value) < MAX_INTEGER:
            return int(value)  # JSON has one kind of number: 7.0 is 7
    return value


def path_id(request: web.Request, name: str, what: str) -> UUID:
    """An id of the path; a malformed one is `NotFound`, as one that does not exist."""
    text = request.match_info[name]
    try:
        parsed = UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or len(text) != 36:
        raise NotFound(f"There is no such {what}.")
    return parsed


def query_int(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query. Raises `InvalidRequest` when it is none or out of bounds."""
    text = request.query.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or not low <= int(text) <= high:
        raise InvalidRequest(
            f"{name} must be a whole number from {low} to {high}.",
            errors=[FieldError(f"?{name}", f"must be a whole number from {low} to {high}")],
        )
    return int(text)


def query_switch(request: web.Request, name: str, *, default: bool) -> bool:
    """0 or 1, false or true. Raises `InvalidRequest`."""
    match request.query.get(name, "").lower():
        case "":
            return default
        case "1" | "true":
            return True
        case "0" | "false":
            return False
    raise InvalidRequest(f"{name} must be 0 or 1.", errors=[FieldError(f"?{name}", "must be 0 or 1")])
