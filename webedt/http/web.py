"""The web page at `/`, the same below `/shared/`, and its assets: read once at start, served from memory, compressed,
never guessed.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from webedt.domain.errors import NotFound
from webedt.http.routes import Access, Route
from webedt.http.web_page import PAGE, page_of, version_of

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# What belongs to a share link: its token is in the path, which nobody may keep, pass on or list.
SHARED_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
LASTING = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    body: bytes
    compressed: bytes
    etag: str
    media_type: str


class Assets(dict[str, Asset]):
    """By name. `version` is another one as soon as any of them is."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.version = version_of(files)
        for name, body in {**files, PAGE: page_of(files, self.version)}.items():
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            self[name] = Asset(body, gzip.compress(body, mtime=0), etag, MEDIA_TYPES[Path(name).suffix])


def load_assets(folder: Path) -> Assets:
    """Every file of the folder whose type is known."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in MEDIA_TYPES)
    return Assets({path.name: path.read_bytes() for path in paths})


def web_routes(assets: Assets) -> list[Route]:
    async def index(request: web.Request) -> web.StreamResponse:
        return _serve(request, assets["index.html"])

    async def shared(request: web.Request) -> web.StreamResponse:
        # Whether the link holds, the page asks.
        answer = _serve(request, assets["index.html"])
        answer.headers.update(SHARED_HEADERS)
        return answer

    async def docs(request: web.Request) -> web.StreamResponse:
        return _serve(request, assets["docs.html"])

    async def asset(request: web.Request) -> web.StreamResponse:
        found = assets.get(request.match_info["name"])
        if found is None:
            raise NotFound("There is no such asset.")
        # While a new version rolls out, a page may ask a replica of the other one: then this is not what it names.
        return _serve(request, found, lasting=request.match_info.get("version") == assets.version)

    return [
        Route(
            method="GET", path="/", handler=index, summary="The web page", access=Access.PUBLIC,
            needs_database=False, documented=False,
        ),
        Route(
            method="GET", path="/shared/{token}", handler=shared, summary="The web page for a share link",
            access=Access.PUBLIC, needs_database=False, documented=False,
        ),
        Route(
            method="GET", path="/api/docs", handler=docs, summary="The description of the API as a page",
            access=Access.PUBLIC, needs_database=False, documented=False,
        ),
        Route(
            method="GET", path="/assets/{name}", handler=asset, summary="Its assets", access=Access.PUBLIC,
            needs_database=False, documented=False,
        ),
        Route(
            method="GET", path="/assets/{version}/{name}", handler=asset, summary="The same, to be kept for good",
            access=Access.PUBLIC, needs_database=False, documented=False,
        ),
    ]  # fmt: skip


def _serve(request: web.Request, asset: Asset, *, lasting: bool = False) -> web.Response:
    headers = {
        "ETag": asset.etag,
        "Cache-Control": LASTING if lasting else "no-cache",
        "Vary": "Accept-Encoding, Origin",  # pages of other origins may import the client module
    }
    if asset.media_type.startswith("text/html") or asset.media_type.startswith("image/svg"):
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY  # of a page; what it loads is under the page's
    if request.headers.get("If-None-Match") == asset.etag:
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.media_type
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.compressed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=asset.body, headers=headers)
