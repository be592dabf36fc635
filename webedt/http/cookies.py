"""The login token on the wire: the cookie `webedt_session`, or `Authorization: Bearer` with the cookie's value."""

from datetime import UTC, datetime

from aiohttp import web

COOKIE = "webedt_session"
MAX_TOKEN_LENGTH = 256


class Cookies:
    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def token(self, request: web.Request) -> tuple[str | None, bool]:
        """The token, and whether the cookie brought it. A Bearer header comes first: only it needs no `Origin`."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _sane(value.strip()), False
        return _sane(request.cookies.get(COOKIE, "")), True

    def set(self, response: web.StreamResponse, token: str, expires_at: datetime) -> None:
        seconds = int((expires_at - datetime.now(UTC)).total_seconds())
        response.set_cookie(
            COOKIE, token, max_age=seconds, path="/", httponly=True, samesite="Lax", secure=self._secure
        )

    def header(self, token: str, expires_at: datetime) -> str:
        """What `set` would send, for an answer whose cookies have already been turned into headers."""
        response = web.Response()
        self.set(response, token, expires_at)
        return response.cookies[COOKIE].OutputString()

    def clear(self, response: web.StreamResponse) -> None:
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax", secure=self._secure)


def _sane(token: str) -> str | None:
    return token if 0 < len(token) <= MAX_TOKEN_LENGTH and token.isascii() else None
