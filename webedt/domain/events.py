"""The event log's vocabulary: event types, and an event before and after it is numbered.

`data` travels as the JSON text that is stored: it is encoded once, here, and never parsed again on its way to a reader.
"""

from typing import Any, NamedTuple

import msgspec

from webedt.domain.text import clean_json, clean_text

USER_MESSAGE = "user_message"
RUN_STARTED = "run_started"
RUN_RESTARTED = "run_restarted"
RUN_RECOVERED = "run_recovered"
TEXT_DELTA = "text_delta"
THINKING_DELTA = "thinking_delta"
TOOL_USE = "tool_use"
TOOL_RESULT = "tool_result"
MESSAGE = "message"
USAGE = "usage"
COMPLETED = "completed"
FAILED = "failed"
INTERRUPTED = "interrupted"

TYPES = (
    *(USER_MESSAGE, RUN_STARTED, RUN_RESTARTED, RUN_RECOVERED, TEXT_DELTA, THINKING_DELTA, TOOL_USE, TOOL_RESULT),
    *(MESSAGE, USAGE, COMPLETED, FAILED, INTERRUPTED),
)
DELTAS = frozenset({TEXT_DELTA, THINKING_DELTA})
TERMINAL = frozenset({COMPLETED, FAILED, INTERRUPTED})

_encoder = msgspec.json.Encoder()


class NewEvent(NamedTuple):
    """An event that has no id yet. `data` is one line of JSON text."""

    type: str
    data: str


def encode_data(data: dict[str, Any]) -> str:
    """Encode an event's data as one line of compact JSON that PostgreSQL and any reader accept."""
    return _encoder.encode(clean_json(data)).decode()


def encode_delta(run_id: str, message_id: str, text: str) -> str:
    """The hot path of `encode_data`: a delta's data, shape `{runId, messageId, text}`."""
    return _encoder.encode({"runId": run_id, "messageId": message_id, "text": clean_text(text)}).decode()
