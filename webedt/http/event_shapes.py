"""What the `data` of each event looks like, for the description. Nothing is encoded or decoded by these types: the log
carries JSON text. A test holds what is in the log to them.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webedt.domain.prompts import ContentBlock
from webedt.domain.sessions import ChatSession, SessionStatus

Blocks = Annotated[list[dict[str, Any]], Meta(description="Content blocks: text, thinking, tool_use, image.")]
Attempt = Annotated[int, Meta(ge=1)]
EventId = Annotated[int, Meta(ge=0)]


class Data(msgspec.Struct, rename="camel"):
    pass


class UserMessage(Data):
    """A prompt, logged when it is accepted."""

    run_id: UUID
    content: list[ContentBlock]


class RunStarted(Data):
    run_id: UUID
    attempt: Attempt
    provider: str
    model: str | None
    container: Annotated[str, Meta(description="The replica that drives the run.")]


class TextDelta(Data):
    """A piece of a message that is being written."""

    run_id: UUID
    message_id: str
    text: str


class ThinkingDelta(TextDelta):
    """A piece of the thinking before it."""


class ToolUse(Data):
    run_id: UUID
    message_id: str | None
    tool_use_id: str
    name: str
    input: Any


class ToolResult(Data):
    run_id: UUID
    tool_use_id: str
    content: Any
    is_error: bool


class Message(Data):
    """The whole message. Supersedes the deltas of its `messageId`, which may be missing in a later replay: ids then
    jump, and this event explains the jump."""

    run_id: UUID
    message_id: str
    role: str
    content: Blocks
    replaces_from: Annotated[EventId | None, Meta(description="The id of the first delta; null: there were none.")]


class Usage(Data):
    run_id: UUID
    input_tokens: Annotated[int, Meta(ge=0)]
    output_tokens: Annotated[int, Meta(ge=0)]
    cost_usd: float | UnsetType = UNSET


class RunRestarted(Data):
    """Forget the unfinished messages of this run."""

    run_id: UUID
    attempt: Attempt
    reason: str


class RunRecovered(Data):
    """Another replica continues; nothing to forget."""

    run_id: UUID
    attempt: Attempt
    container: str


class Completed(Data):
    run_id: UUID
    stop_reason: str
    duration_ms: Annotated[int, Meta(ge=0)]


class Failed(Data):
    run_id: UUID
    code: str
    message: str
    retryable: Annotated[bool, Meta(description="Whether the same prompt may be tried again.")]


class Interrupted(Data):
    run_id: UUID
    by: Annotated[str, Meta(description="`user`, `new_prompt` or `delete`.")]


class CaughtUp(Data):
    """Outside the log: the replay is over, what follows is live."""

    last_event_id: EventId
    status: SessionStatus


class Reset(Data):
    """Outside the log: the cursor could not be honoured; forget everything, the log comes from its beginning."""

    reason: Literal["unparsable", "ahead_of_log"]


class Draining(Data):
    """Outside the log: this replica is shutting down; come back, to another one."""


class Snapshot(Data):
    """The newest 50 sessions."""

    sessions: list[ChatSession]


class SessionChange(Data):
    session: ChatSession


SHAPES: dict[str, type[msgspec.Struct]] = {
    "user_message": UserMessage,
    "run_started": RunStarted,
    "text_delta": TextDelta,
    "thinking_delta": ThinkingDelta,
    "tool_use": ToolUse,
    "tool_result": ToolResult,
    "message": Message,
    "usage": Usage,
    "run_restarted": RunRestarted,
    "run_recovered": RunRecovered,
    "completed": Completed,
    "failed": Failed,
    "interrupted": Interrupted,
    "caught_up": CaughtUp,
    "reset": Reset,
    "draining": Draining,
    "snapshot": Snapshot,
    "created": SessionChange,
    "updated": SessionChange,
    "status_changed": SessionChange,
    "deleted": SessionChange,
}
