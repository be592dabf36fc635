"""A workspace file: which paths there are, what is known of a file, and as what it is ever given out.

A path names a file within its session and nothing else: no folder exists, and no object has it in its key. The rules
keep out what means something to those who write a file under its path on a disk of their own.
"""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote
from uuid import UUID

from webedt.domain.errors import Conflict, FieldError, InvalidRequest

MAX_PATH_BYTES = 1024
MAX_FILES = 10_000
MAX_DECODINGS = 5
OCTETS = "application/octet-stream"
# What a browser shows without running anything in it. Whatever else is bytes to be saved.
INERT_TYPES = {
    "text/plain": "text/plain; charset=utf-8",
    "application/json": "application/json",
    "application/pdf": "application/pdf",
    "image/gif": "image/gif",
    "image/jpeg": "image/jpeg",
    "image/png": "image/png",
    "image/webp": "image/webp",
}
# Control characters, surrogates, and what ends a line.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


class StoredFile(NamedTuple):
    """Bytes that were stored whole, under this path, at this moment; `object_id` names exactly them."""

    path: str
    object_id: UUID
    size: int
    sha256: bytes
    content_type: str
    modified_at: datetime

    @property
    def etag(self) -> str:
        return etag_of(self.sha256)


class Condition(NamedTuple):
    """What the caller believes to be there (RFC 9110, 13.1): strong entity tags, or `*` for whatever there is."""

    match: Sequence[str] | None = None
    none_match: Sequence[str] | None = None

    def require(self, etag: str | None) -> None:
        """Raises `Conflict` unless the file with this tag, or None for no file, is what the caller believes."""
        if self.match is not None and (etag is None or not {"*", etag} & set(self.match)):
            raise Conflict("The file is not what If-Match says.")
        if self.none_match is not None and etag is not None and {"*", etag} & set(self.none_match):
            raise Conflict("The file is what If-None-Match says it must not be.")


def etag_of(sha256: bytes) -> str:
    return f'"{sha256.hex()}"'


def inert_type(content_type: str) -> str:
    """What a file that came as `content_type` is given out as."""
    return INERT_TYPES.get(content_type.partition(";")[0].strip().lower(), OCTETS)


def file_path(text: str) -> str:
    """`text` in Unicode normal form C. Raises `InvalidRequest` for what is no path."""
    path = unicodedata.normalize("NFC", text)
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise _refused(f"may have at most {MAX_PATH_BYTES} bytes")
    inner = path
    for _ in range(MAX_DECODINGS):
        _judge(inner)
        # Whoever decodes once too often must not find another path in it.
        if (decoded := unquote(inner)) == inner:
            return path
        inner = unicodedata.normalize("NFC", decoded)
    raise _refused("must not be percent-encoded again and again")


def _judge(path: str) -> None:
    if any(unicodedata.category(one) in _FORBIDDEN_CATEGORIES for one in path):
        raise _refused("must not have control characters or ends of lines")
    if "\\" in path:
        raise _refused("must not have a backslash")
    segments = path.split("/")
    if "" in segments:
        raise _refused("must not begin or end with / or have // in it")
    if {".", ".."} & set(segments):
        raise _refused("must not have . or .. as a segment")


def _refused(rule: str) -> InvalidRequest:
    return InvalidRequest(f"A file's path {rule}.", errors=[FieldError("{path}", rule)])
