"""An example of each request that has a body and of each answer that is JSON. A test asks a real replica exactly these,
in this order, and holds its answers to these.
"""

from typing import Any, NamedTuple

SESSION_ID = "0197f3a2-5b1c-7c3e-9d51-2f6a8b7c4d10"
RUN_ID = "0197f3a2-5b20-7a44-8e02-6d1f0c9b3a77"
LOGIN_ID = "0197f3a2-4a00-7b1d-a3c4-5e6f7a8b9c0d"
SHARE_TOKEN = "pn2C0Q8bQvW1m3yZ5r7t9A" + "Xk4dLw6uHs0JfGbNcVeRyTiOqPzSxUaEaA9m7l5j3h"
AT = "2026-11-23T08:00:00.000Z"
LATER = "2026-12-23T08:00:00.000Z"


class Example(NamedTuple):
    """`body` is sent, `answer` comes back with the status of the route that is not an error; `stream` is its text."""

    body: Any = None
    answer: Any = None
    stream: str | None = None


_USER = {
    "id": "0197f3a2-49f0-7e55-b6d7-8c9d0e1f2a3b",
    "email": "ada@example.com",
    "displayName": "Ada",
    "createdAt": AT,
}
_AUTHENTICATED = {"user": _USER, "session": {"id": LOGIN_ID, "expiresAt": LATER}}
_SHARED = {
    "title": "Why is the build red?",
    "status": "completed",
    "provider": "simulated",
    "model": "simulated-1",
    "lastEventId": 9,
    "createdAt": AT,
    "updatedAt": AT,
    "completedAt": AT,
}
_SESSION = {
    "id": SESSION_ID,
    **_SHARED,
    "repositoryUrl": None,
    "branch": None,
    "favorite": False,
    "deletedAt": None,
}
_FILE = {"path": "logs/build.txt", "size": 1204, "modifiedAt": AT}
_ACCEPTED = {"sessionId": SESSION_ID, "runId": RUN_ID, "status": "running"}
_USER_MESSAGE = {"runId": RUN_ID, "content": [{"type": "text", "text": "Why is the build red?"}]}
_LOG = f"""retry: 1730

id: 1
event: user_message
data: {{"runId":"{RUN_ID}","content":[{{"type":"text","text":"Why is the build red?"}}]}}

id: 2
event: run_started
data: {{"runId":"{RUN_ID}","attempt":1,"provider":"simulated","model":"simulated-1","container":"webedt-1"}}

id: 3
event: text_delta
data: {{"runId":"{RUN_ID}","messageId":"sim_1","text":"This i"}}

id: 4
event: completed
data: {{"runId":"{RUN_ID}","stopReason":"end_turn","durationMs":1200}}

"""
_SNAPSHOT = """retry: 1730

event: snapshot
data: {"sessions":[]}

"""

EXAMPLES: dict[tuple[str, str], Example] = {
    ("POST", "/api/auth/register"): Example(
        {"email": "ada@example.com", "password": "correct horse battery", "displayName": "Ada"}, _AUTHENTICATED
    ),
    ("POST", "/api/auth/login"): Example(
        {"email": "ada@example.com", "password": "correct horse battery"}, _AUTHENTICATED
    ),
    ("GET", "/api/auth/session"): Example(answer=_AUTHENTICATED),
    ("GET", "/api/auth/sessions"): Example(
        answer={
            "sessions": [
                {"id": LOGIN_ID, "createdAt": AT, "expiresAt": LATER, "userAgent": "curl/8.5.0", "current": True}
            ]
        }
    ),
    ("POST", "/api/execute-remote"): Example(
        {"userRequest": "Why is the build red?", "provider": "simulated"}, _ACCEPTED, _LOG
    ),
    ("GET", "/api/resume/{id}"): Example(stream=_LOG),
    ("GET", "/api/sessions/{id}/events/stream"): Example(stream=_LOG),
    ("GET", "/api/sessions/{id}/events"): Example(
        answer={
            "events": [{"id": 1, "type": "user_message", "data": _USER_MESSAGE, "runId": RUN_ID, "createdAt": AT}],
            "lastEventId": 9,
            "status": "completed",
        }
    ),
    ("POST", "/api/sessions/{id}/send"): Example(
        {"message": "And on Windows?", "onBusy": "queue"}, {**_ACCEPTED, "position": 0}
    ),
    ("POST", "/api/sessions/{id}/interrupt"): Example({"runId": RUN_ID}, {**_ACCEPTED, "status": "interrupting"}),
    ("GET", "/api/sessions"): Example(answer={"sessions": [_SESSION], "nextCursor": None}),
    ("GET", "/api/sessions/updates"): Example(stream=_SNAPSHOT),
    ("GET", "/api/sessions/{id}"): Example(answer={"session": _SESSION}),
    ("PATCH", "/api/sessions/{id}"): Example(
        {"title": "The red build", "favorite": True},
        {"session": {**_SESSION, "title": "The red build", "favorite": True}},
    ),
    ("POST", "/api/sessions/{id}/share"): Example(
        {"expiresInDays": 7},
        {"shareToken": SHARE_TOKEN, "url": f"https://webedt.example.com/shared/{SHARE_TOKEN}", "expiresAt": LATER},
    ),
    ("GET", "/api/shared/{token}"): Example(answer={"session": {**_SHARED, "expiresAt": LATER}}),
    ("GET", "/api/shared/{token}/events/stream"): Example(stream=_LOG),
    ("GET", "/api/sessions/{id}/files"): Example(
        answer={"files": [_FILE], "usedBytes": 1204, "quotaBytes": 5368709120},
    ),
    ("PUT", "/api/sessions/{id}/files/{path}"): Example(answer={**_FILE, "etag": f'"{"0c6f" * 16}"'}),
    ("POST", "/api/sessions/{id}/restore"): Example(answer={"session": _SESSION}),
    ("GET", "/api/user/preferences"): Example(answer={"defaultProvider": None, "defaultModel": None}),
    ("PATCH", "/api/user/preferences"): Example(
        {"defaultProvider": "simulated"}, {"defaultProvider": "simulated", "defaultModel": None}
    ),
    ("GET", "/api/user/credentials"): Example(
        answer={"providers": [{"provider": "anthropic", "configured": True, "updatedAt": AT}]}
    ),
}
