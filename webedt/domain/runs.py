"""Runs: what is accepted, who drives it, how it ends."""

from typing import Any, Literal
from uuid import UUID

import msgspec

RunStatus = Literal["queued", "running", "completed", "failed", "interrupted"]
OnBusy = Literal["queue", "interrupt", "reject"]
Outcome = Literal["completed", "failed", "interrupted"]


class Accepted(msgspec.Struct, frozen=True):
    """A prompt that is durable. `prompt_seq` is the id of its `user_message`; `position` counts runs before it.

    `repeated`: an earlier request with the same idempotency key did it. `interrupts`: a run that this prompt asked to
    stop.
    """

    session_id: UUID
    run_id: UUID
    prompt_seq: int
    status: RunStatus
    position: int
    repeated: bool = False
    interrupts: UUID | None = None


class Claim(msgspec.Struct, frozen=True):
    """The right to drive a run: proof is `fence`, which the append compares under the head's lock.

    `elapsed_ms`: time since its first attempt began, by the database's clock. `recovered`: it was another's before;
    `handed_over`: which gave it away, as in a drain. `traceparent` names the span of the request that accepted its
    prompt, if that was traced.
    """

    session_id: UUID
    run_id: UUID
    user_id: UUID
    fence: int
    attempt: int
    provider: str
    model: str | None
    prompt: list[dict[str, Any]]
    prompt_seq: int
    checkpoint: dict[str, Any] | None
    provider_state: dict[str, Any] | None
    repository_url: str | None
    branch: str | None
    elapsed_ms: float
    recovered: bool
    handed_over: bool = False
    traceparent: str | None = None
