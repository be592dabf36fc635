"""A chat session: the thing with a title that runs belong to and whose events readers follow."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

SessionStatus = Literal["pending", "running", "completed", "failed", "interrupted"]
STATUSES = ("pending", "running", "completed", "failed", "interrupted")


class ChatSession(msgspec.Struct, frozen=True, rename="camel"):
    """As clients see it (`api.md`, Session). `last_event_id` is the newest id of its log, 0 when empty."""

    id: UUID
    title: str
    status: SessionStatus
    provider: str
    model: str | None
    repository_url: str | None
    branch: str | None
    favorite: bool
    last_event_id: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    deleted_at: datetime | None


class Head(msgspec.Struct, frozen=True):
    """What one statement saw of a session's log: its newest id, whether anything runs or waits, and its status."""

    last_seq: int
    idle: bool
    status: SessionStatus
