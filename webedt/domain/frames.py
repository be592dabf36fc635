"""The SSE wire format (WHATWG HTML, 9.2 Server-sent events), and nothing else: pure functions from values to bytes.

A frame of the log is `id: 7\\nevent: text_delta\\ndata: {…}\\n\\n`. PostgreSQL renders the same bytes for a replay
(`sql/queries/events.sql`); a test holds the two together. Frames outside the log carry no id, so that they never move
a reader's cursor.
"""

import random
from typing import Any

import msgspec

KEEP_ALIVE = b": keep-alive\n\n"
LAST_CHUNK = b"0\r\n\r\n"
MEDIA_TYPE = "text/event-stream"


def log_frame(seq: int, event_type: str, data: str) -> bytes:
    """One event of the log. `data` must be one line, which compact JSON is."""
    return f"id: {seq}\nevent: {event_type}\ndata: {data}\n\n".encode()


def control_frame(event_type: str, data: dict[str, Any]) -> bytes:
    """A frame outside the log: `caught_up`, `reset`, `draining`, or one of the list stream. Has no id."""
    return b"event: %s\ndata: %s\n\n" % (event_type.encode(), msgspec.json.encode(data))


def retry_frame(base_ms: int = 1000, spread_ms: int = 2000) -> bytes:
    """Tell the reader how long to wait before it reconnects, jittered so that a fleet does not come back at once."""
    return b"retry: %d\n\n" % (base_ms + random.randrange(spread_ms))  # noqa: S311 - jitter, not a secret


def draining_frames() -> bytes:
    """What a reader is told before a clean end on shutdown."""
    return retry_frame(200, 1800) + control_frame("draining", {})


def chunked(payload: bytes) -> bytes:
    """Wrap bytes as one HTTP/1.1 chunk (RFC 9112, 7.1), so that one encoding can be pushed to many sockets."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def parse_cursor(value: str | None, last_seq: int) -> tuple[int, str | None]:
    """Read a `Last-Event-ID`: returns the cursor and, if it could not be honoured, the reason for a `reset` frame.

    Absent or empty counts as 0 without a reset: that is how EventSource starts.
    """
    if value is None or value == "":
        return 0, None
    if not (value.isascii() and value.isdigit()) or len(value) > 18:
        return 0, "unparsable"
    cursor = int(value)
    if cursor > last_seq:
        return 0, "ahead_of_log"
    return cursor, None
