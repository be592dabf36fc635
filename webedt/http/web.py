"""The web page at `/`, the same below `/shared/`, and its assets: read once at start, served from memory, compressed,
never guessed.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from webedt.domain.errors import NotFound
from webedt.http.routes import Access, Route

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


@dataclass(frozen=True)
class Asset:
    body: bytes
    compressed: bytes
    etag: str
    media_type: str


def load_assets(folder: Path) -> dict[str, Asset]:
    """Every file of the folder whose type is known, by name."""
    assets = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in MEDIA_TYPES:
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            assets[path.name] = Asset(body, gzip.compress(body, mtime=0), etag, MEDIA_TYPES[path.suffix])
    return assets


def web_routes(assets: dict[str, Asset]) -> list[Route]:
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
        return _serve(request, found)

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
    ]  # fmt: skip


def _serve(request: web.Request, asset: Asset) -> web.Response:
    headers = {
        "ETag": asset.etag,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding, Origin",  # pages of other origins may import the client module
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    }
    if request.headers.get("If-None-Match") == asset.etag:
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.media_type
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.compressed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=asset.body, headers=headers)
