"""Routes of workspace files: the list, and the bytes of each, both ways."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec
from aiohttp import web

from webedt.domain.errors import InvalidRequest
from webedt.domain.files import INERT_TYPES, MAX_PATH_BYTES, OCTETS, StoredFile, file_path, inert_type
from webedt.http.bodies import path_id
from webedt.http.context import json_response, no_content, principal
from webedt.http.file_bodies import PIECE_BYTES, Watch, pieces_of, send
from webedt.http.ranges import condition_of, digest_of, is_known, last_modified, range_of, written_digest
from webedt.http.routes import Parameter, Route
from webedt.http.transfers import Transfers
from webedt.kernel import ServiceContainer
from webedt.services.access import AAccess
from webedt.services.files import AFiles, NewContent, Window
from webedt.services.uploads import Place
from webedt.telemetry.metrics import Metrics

# Whatever is in a file, it is no page of ours: nothing in it runs, and it is saved instead of shown.
HARMLESS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_BEFORE_PATH = 5  # slashes: /api/sessions/{id}/files/
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# For the description; the rules themselves are `webedt.domain.files`.
_SEGMENT = r"(?!\.{1,2}(/|$))[^\u0000-\u001f\u007f-\u009f\u2028\u2029\\/]+"


class FileView(msgspec.Struct, rename="camel"):
    path: str
    size: int
    modified_at: datetime


class FileList(msgspec.Struct, rename="camel"):
    """Every file of the session, by path. `used_bytes` and `quota_bytes` are the user's, over all sessions."""

    files: Sequence[FileView]
    used_bytes: int
    quota_bytes: int


class StoredView(FileView):
    etag: str


@dataclass(frozen=True, kw_only=True)
class FileServices(ServiceContainer):
    files: AFiles
    access: AAccess


def _header(name: str, doc: str) -> Parameter:
    return Parameter(name=name, place="header", doc=doc, schema={"type": "string"})


PATH = Parameter(
    name="path",
    place="path",
    doc="Slashes are part of it. No segment is empty, `.` or `..`; no backslash, no control character.",
    schema={"type": "string", "minLength": 1, "maxLength": MAX_PATH_BYTES, "pattern": f"^{_SEGMENT}(/{_SEGMENT})*$"},
)
MATCH = _header("If-Match", "Only if the file has one of these entity tags.")
NONE_MATCH = _header("If-None-Match", "Only if the file has none of these entity tags; `*`: if there is none.")


def file_routes(services: FileServices, transfers: Transfers, metrics: Metrics) -> list[Route]:
    files = services.files
    for direction in ("in", "out"):
        metrics.file_bytes.begin(direction)

    async def list_files(request: web.Request) -> web.StreamResponse:
        found = await files.list(principal(request).user.id, path_id(request, "id", "session"))
        body = b'{"files":[%s],"usedBytes":%d,"quotaBytes":%d}' % (found.items, found.used_bytes, found.quota_bytes)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def get(request: web.Request) -> web.StreamResponse:
        who, place = principal(request), _place(request)
        file = await files.find(place)
        if is_known(request, file):
            return web.Response(status=304, headers=_validators(file))
        if request.method == "HEAD":
            return _head_of(file, None)
        async with transfers.place(who.user.id):
            # Of one content, whichever is there by now: the file may have been replaced since it was found.
            file, first = await files.open(place, lambda found: _first_piece(request, found))
            start, end = range_of(request, file) or (0, file.size)
            response = _head_of(file, range_of(request, file))

            async def read(start: int, end: int) -> bytes:
                return await files.read(place, file, start, end)

            await response.prepare(request)
            rest = (start + len(first), end)
            sent = await send(response, first, rest, read, Watch(services.access, who))
            metrics.file_bytes.inc(sent, "out")
            await response.write_eof()
            return response

    async def put(request: web.Request) -> web.StreamResponse:
        who, place = principal(request), _place(request)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise InvalidRequest("Content-Encoding is not taken: send the bytes of the file as they are.")
        if "Content-Range" in request.headers:
            raise InvalidRequest("Content-Range is not taken: send the whole file.")
        condition, sha256 = condition_of(request), digest_of(request)
        async with transfers.place(who.user.id):
            content = NewContent(
                pieces_of(request, Watch(services.access, who)),
                inert_type(request.headers.get("Content-Type", OCTETS)),
                request.content_length,
                sha256,
                condition,
            )
            file, created = await files.store(place, content)
        metrics.file_bytes.inc(file.size, "in")
        view = StoredView(file.path, file.size, file.modified_at, file.etag)
        return json_response(view, 201 if created else 200, {"ETag": file.etag})

    async def delete(request: web.Request) -> web.StreamResponse:
        await files.remove(_place(request), condition_of(request))
        return no_content()

    one: dict[str, Any] = {"path": "/api/sessions/{id}/files/{path}", "takes_slashes": True}
    return [
        Route(
            method="GET", path="/api/sessions/{id}/files", handler=list_files, summary="The files of a session",
            answer=FileList,
        ),
        Route(
            method="GET", handler=get, summary="The bytes of a file", statuses=(200, 206, 304),
            refusals=(416,),
            raw_answers=(*(name.partition(";")[0] for name in INERT_TYPES.values()), OCTETS),
            parameters=(
                PATH, _header("If-None-Match", "304 if the file still has one of these entity tags."),
                _header("Range", "One range of bytes; several are answered with the whole file."),
            ), **one,
        ),
        Route(
            method="PUT", handler=put, summary="Store a file, new (201) or in place of the one there (200)",
            raw_body=True, answer=StoredView, statuses=(200, 201), refusals=(409,),
            parameters=(
                PATH, MATCH, NONE_MATCH,
                _header("Content-Digest", "`sha-256=:…:`; other bytes than these are refused (RFC 9530)."),
            ), **one,
        ),
        Route(
            method="DELETE", handler=delete, summary="Remove a file", statuses=(204,), refusals=(409,),
            parameters=(PATH, MATCH), **one,
        ),
    ]  # fmt: skip


def _place(request: web.Request) -> Place:
    """Of the path as it was sent: what the router hands on it has decoded in its own, forgiving way."""
    session_id = path_id(request, "id", "session")
    raw = request.rel_url.raw_path.split("/", _BEFORE_PATH)[_BEFORE_PATH]
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        text = ""
    if not text or _BROKEN_ESCAPE.search(raw):
        raise InvalidRequest("A file's path must be percent-encoded UTF-8.")
    return Place(principal(request).user.id, session_id, file_path(text))


def _first_piece(request: web.Request, file: StoredFile) -> Window:
    start, end = range_of(request, file) or (0, file.size)
    return start, min(end, start + PIECE_BYTES)


def _validators(file: StoredFile) -> dict[str, str]:
    # Kept by the caller alone, and asked for again each time.
    return {"ETag": file.etag, "Cache-Control": "private, no-cache"}


def _head_of(file: StoredFile, part: tuple[int, int] | None) -> web.StreamResponse:
    start, end = part or (0, file.size)
    response = web.StreamResponse(status=200 if part is None else 206, headers={**HARMLESS, **_validators(file)})
    response.headers["Content-Type"] = file.content_type
    name = quote(file.path.rpartition("/")[2], safe="")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Repr-Digest"] = written_digest(file)
    response.last_modified = last_modified(file)
    if part is not None:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    response.content_length = end - start
    return response
