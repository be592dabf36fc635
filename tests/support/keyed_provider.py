"""Providers that take keys and ask nobody: they note the key of each request and say that they are done."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from webedt.domain.secrets import Secret
from webedt.kernel import BaseService
from webedt.providers.interface import (
    AProviders,
    Completed,
    ExecutionProvider,
    MessageDone,
    RunRequest,
    Step,
    Usage,
)

KEY_NAMES = ("anthropic", "claude", "openai")


class KeyedProvider(BaseService, ExecutionProvider):
    """`key`: the deployment's. `off`: why it cannot be used at all. `seen`: user, key and model of each request."""

    resumable = False
    takes_keys = True
    name = ""

    def __init__(self, name: str, *, key: str | None = None, off: str | None = None, takes_keys: bool = True) -> None:
        # Class variables by contract; these have their own.
        self.name = name  # type: ignore[misc]
        self.takes_keys = takes_keys  # type: ignore[misc]
        self.key, self.off = key, off
        self.seen: list[tuple[UUID, str | None, str | None]] = []

    @property
    def unavailable_reason(self) -> str | None:
        return self.off

    @property
    def key_needed(self) -> str | None:
        return f"{self.name} needs an API key: store your own." if self.takes_keys else None

    @property
    def deployment_key(self) -> Secret | None:
        return None if self.key is None else Secret(self.key)

    def default_model(self) -> str | None:
        return f"{self.name}-1"

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        key = None if request.api_key is None else request.api_key.reveal()
        self.seen.append((request.user_id, key, request.model))
        message = MessageDone(f"m_{request.run_id.hex}", [{"type": "text", "text": "Done."}])
        yield Step([message, Usage(1, 1)])
        yield Step([Completed("end_turn")])


def put_in(providers: AProviders, *more: ExecutionProvider, default: str | None = "simulated") -> None:
    """Have the replica know these providers, beside or instead of its own, and this default."""
    known: Any = providers
    for provider in more:
        known._providers[provider.name] = provider
    known._default = default
