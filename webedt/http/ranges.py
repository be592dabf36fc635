"""What a request asks of a file by its headers: conditions, a range of bytes, a digest (RFC 9110 and RFC 9530)."""

import base64
import binascii
import re
from datetime import datetime, timedelta

from aiohttp import web

from webedt.domain.errors import InvalidRequest, RangeNotSatisfiable
from webedt.domain.files import Condition, StoredFile

_TAG = re.compile(r'\s*(\*|(?:W/)?"[\x21\x23-\x7e]*")\s*(?:,|$)')
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.ASCII | re.IGNORECASE)
_DIGEST = re.compile(r"(?:^|,)\s*sha-256\s*=\s*([^,;]*)")
MAX_DIGITS = 18


def condition_of(request: web.Request) -> Condition:
    """Of a request that changes a file. Raises `InvalidRequest` for what is no list of entity tags."""
    return Condition(_tags(request, "If-Match"), _tags(request, "If-None-Match"))


def is_known(request: web.Request, file: StoredFile) -> bool:
    """Whether the caller has this content already. A tag goes before a date."""
    tags = _tags(request, "If-None-Match")
    if tags is not None:
        # Compared weakly: a cache may have made the tag weak.
        return bool({"*", file.etag} & {tag.removeprefix("W/") for tag in tags})
    since = request.if_modified_since
    return since is not None and last_modified(file) <= since


def last_modified(file: StoredFile) -> datetime:
    """Whole seconds, as HTTP has them."""
    return file.modified_at - timedelta(microseconds=file.modified_at.microsecond)


def range_of(request: web.Request, file: StoredFile) -> tuple[int, int] | None:
    """First byte and the one behind the last, or None: the whole file, also for more than one range, and when
    `If-Range` names another content. Raises `RangeNotSatisfiable`."""
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or request.headers.get("If-Range", file.etag) != file.etag:
        return None
    first, last = found.groups()
    if not (first or last) or len(first) > MAX_DIGITS or len(last) > MAX_DIGITS:
        return None
    if not first:
        start, end = max(0, file.size - int(last)), file.size
    else:
        start, end = int(first), min(file.size, int(last) + 1 if last else file.size)
        if last and int(last) < int(first):
            return None  # no range at all, says RFC 9110
    if start >= end:
        raise RangeNotSatisfiable(file.size)
    return start, end


def digest_of(request: web.Request) -> bytes | None:
    """The SHA-256 that the body is to have. Raises `InvalidRequest` for what is none; other algorithms do not count."""
    for name in ("Content-Digest", "Repr-Digest"):
        found = _DIGEST.search(",".join(request.headers.getall(name, ())))
        if found is None:
            continue
        text = found[1].strip()
        try:
            digest = base64.b64decode(text[1:-1], validate=True) if text[:1] == text[-1:] == ":" else b""
        except binascii.Error:
            digest = b""
        if len(digest) != 32:
            raise InvalidRequest(f"{name} must be like sha-256=:…:, with the 32 bytes in base64.")
        return digest
    return None


def written_digest(file: StoredFile) -> str:
    return f"sha-256=:{base64.b64encode(file.sha256).decode()}:"


def _tags(request: web.Request, name: str) -> list[str] | None:
    values = request.headers.getall(name, None)
    if values is None:
        return None
    text, tags, place = ",".join(values).strip(), [], 0
    while place < len(text):
        found = _TAG.match(text, place)
        if found is None:
            raise InvalidRequest(f'{name} must be * or entity tags such as "abc", with commas between them.')
        tags.append(found[1])
        place = found.end()
    return tags
