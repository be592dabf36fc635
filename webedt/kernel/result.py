"""What an operation of a service answers when its caller wants a value and not an exception.

Owns `OperationResult` and the convention by which an error says what a client may read. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class PublicError(Protocol):
    """An error that is part of a contract (not found, refused): it carries what a client may read.

    The names are those of RFC 9457, and three of them, so that no foreign error (many have a `code`) qualifies by
    chance and shows its text to a stranger.
    """

    @property
    def code(self) -> str:
        """Stable, snake_case."""
        ...

    @property
    def title(self) -> str:
        """What kind of refusal this is, the same for every occurrence."""
        ...

    @property
    def detail(self) -> str:
        """What was refused and why, in words for the client."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult:
    """`ok` says whether it worked; `code` is stable and for programs, `message` is for people and safe to show."""

    ok: bool
    message: str
    code: str = "ok"
    data: Mapping[str, Any] = field(default_factory=dict)
