"""What `webedt dev` says when everything is ready: where it is, a login, and a command to copy that streams a run."""

import http.client
import json
import shlex
from collections.abc import Sequence
from http.cookies import SimpleCookie
from typing import Any

DEMO_EMAIL = "demo@webedt.local"
DEMO_PASSWORD = "demo-password"  # noqa: S105 - public, and only ever made by `webedt dev` on a local database
SESSION_COOKIE = "webedt_session"
TIMEOUT_SECONDS = 5


def is_ready(port: int) -> bool:
    """Whether the instance on `port` would serve requests now."""
    try:
        return _request(port, "GET", "/ready")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def demo_token(port: int) -> str | None:
    """Register the demo user if it is not there, log it in, and return its bearer token, or None if that fails."""
    login = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
    try:
        _request(port, "POST", "/api/auth/register", {**login, "displayName": "Demo"})
        status, cookies = _request(port, "POST", "/api/auth/login", login)
    except (OSError, http.client.HTTPException):
        return None
    return cookies[SESSION_COOKIE].value if status == 200 and SESSION_COOKIE in cookies else None


def welcome(ports: Sequence[int], token: str | None) -> str:
    """The text for the terminal."""
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    lines = [f"WebEDT is ready: {' '.join(urls)}"]
    if token is not None:
        body = json.dumps({"userRequest": "Hello [[tokens=60 rate=20]]", "provider": "simulated"})
        lines += [
            f"Demo login (development only): {DEMO_EMAIL} / {DEMO_PASSWORD}",
            f"Stream a run: curl -sN {urls[0]}/api/execute-remote -H 'Authorization: Bearer {token}'"
            f" -H 'Content-Type: application/json' -d {shlex.quote(body)}",
        ]
    return "\n".join([*lines, "Ctrl-C stops it."])


def _request(port: int, method: str, path: str, body: Any = None) -> tuple[int, SimpleCookie]:
    """One request to an instance on this machine, past any proxy that the environment names: its status and cookies."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
        response = connection.getresponse()
        response.read()
        return response.status, SimpleCookie("; ".join(response.headers.get_all("Set-Cookie") or ()))
    finally:
        connection.close()
