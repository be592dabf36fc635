"""The contract between a run and whoever answers it.

A provider turns a `RunRequest` into an async generator of `Step`s. It knows nothing of sessions' logs, ids or replicas.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from webedt.domain.secrets import Secret
from webedt.kernel import AService
from webedt.providers.breaker import CircuitBreaker


class Turn(msgspec.Struct, frozen=True):
    """One earlier turn of the conversation; `content` are content blocks as in the wire contract."""

    role: Literal["user", "assistant"]
    content: list[dict[str, Any]]


async def _nobody_else() -> None:
    """Of a request without replicas: nobody else could answer it."""


class RunRequest(msgspec.Struct, frozen=True):
    """What is asked. `state` is what the session keeps for this provider (a remote session, say).

    `api_key` is the one this user's run is to use: the user's own, else the deployment's. It goes with the request, and
    no client made with it outlives the run or serves another.
    `still_ours`: awaited right before something irrevocable is done outside. It returns when no other replica may have
    taken the run over, and raises what the provider is not to catch when one has.
    """

    run_id: UUID
    session_id: UUID
    user_id: UUID
    attempt: int
    model: str | None
    prompt: list[dict[str, Any]]
    history: Sequence[Turn] = ()
    state: dict[str, Any] | None = None
    repository_url: str | None = None
    branch: str | None = None
    api_key: Secret | None = None
    still_ours: Callable[[], Awaitable[None]] = _nobody_else


class TextDelta(msgspec.Struct, frozen=True):
    message_id: str
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True):
    message_id: str
    text: str


class ToolUse(msgspec.Struct, frozen=True):
    message_id: str
    tool_use_id: str
    name: str
    input: Any


class ToolResult(msgspec.Struct, frozen=True):
    tool_use_id: str
    content: Any
    is_error: bool = False


class MessageDone(msgspec.Struct, frozen=True):
    """The whole message that deltas announced. An id is never used again, not even by a later attempt."""

    message_id: str
    content: list[dict[str, Any]]
    role: str = "assistant"


class Usage(msgspec.Struct, frozen=True):
    """What was used since the last `Usage` of this run."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None


class Completed(msgspec.Struct, frozen=True):
    """The answer is complete; always the last thing a provider says."""

    stop_reason: str


Item = TextDelta | ThinkingDelta | ToolUse | ToolResult | MessageDone | Usage | Completed


class Step(msgspec.Struct, frozen=True):
    """Items that become durable together.

    A resumable provider gives a `checkpoint` where it changes: started again with the newest, it goes on exactly behind
    the step that carried it. `state` replaces what the session keeps for the provider. A step that completes a message
    need not repeat its deltas: deltas of a message that begins and is done in one step are left out.
    `durable`: the next step is asked for only when this one is in the database. For what must be known to a successor
    before something irrevocable is done outside.
    """

    items: Sequence[Item]
    checkpoint: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    durable: bool = False


class ProviderError(Exception):
    """The provider cannot answer. `code` is stable and snake_case, `message` is for a person and holds no secret.

    `state`, if given, replaces what the session keeps for the provider, in the transaction that ends the run.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, state: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.state = state


class ExecutionProvider(AService):
    """One kind of provider.

    `resumable`: after a take-over it continues from its checkpoint; otherwise it is run again from the prompt.
    `wants_history`: requests carry the earlier turns of the conversation.
    `takes_keys`: users may store a key of their own for it.
    `keeps_model`: a session's model is that of its first prompt, for as long as it stays with this provider.
    """

    order: ClassVar[int] = 50
    name: ClassVar[str]
    resumable: ClassVar[bool]
    wants_history: ClassVar[bool] = False
    takes_keys: ClassVar[bool] = False
    keeps_model: ClassVar[bool] = False

    @property
    @abstractmethod
    def unavailable_reason(self) -> str | None:
        """Why prompts cannot be sent to it, whatever key goes with them, for a person; None when they can."""

    @property
    def key_needed(self) -> str | None:
        """For a person: which key is missing when a request brings none. None if it can do without."""
        return None

    @property
    def model_needed(self) -> str | None:
        """For a person: that a prompt has to name a model, where there is no default. None if it need not."""
        return None

    @property
    def deployment_key(self) -> Secret | None:
        """The key of requests whose user has none; None when there is no such key or it is not to be used."""
        return None

    @property
    def breaker(self) -> CircuitBreaker | None:
        """Of its upstream; None if it has none."""
        return None

    @abstractmethod
    def default_model(self) -> str | None:
        """The model of a prompt that names none."""

    @abstractmethod
    def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        """Answer. Raises `ProviderError`. Cancelled (the iterator is closed) when the run is interrupted or lost:
        then it lets go of the upstream at once."""


RemoteStatus = Literal["running", "idle", "gone"]


class RemoteProvider(ExecutionProvider):
    """A provider whose sessions live elsewhere and go on without us: what is begun there has to be ended there.

    Its `state` carries `"turn"`: `"open"` from before a prompt is sent there until its end was seen, else `"closed"`.
    All methods may be called by any replica, at any time, more than once; they raise `ProviderError`.
    """

    @abstractmethod
    async def look(self, state: dict[str, Any], api_key: Secret | None) -> RemoteStatus:
        """What the remote session does. `gone`: it ended for good, or is not known there."""

    @abstractmethod
    async def interrupt(self, state: dict[str, Any], api_key: Secret | None) -> None:
        """Make the remote session stop what it does. No error if it does nothing."""

    @abstractmethod
    async def archive(self, state: dict[str, Any], api_key: Secret | None) -> None:
        """Put the remote session away for good. No error if it is gone."""


class AProviders(AService):
    """The providers of this deployment, by name."""

    order: ClassVar[int] = 60

    @abstractmethod
    def add(self, provider: ExecutionProvider) -> None:
        """Add one of your own, before they start. Raises `ServiceStateError` later, and for a name that is taken."""

    @abstractmethod
    def get(self, name: str) -> ExecutionProvider | None: ...

    @property
    @abstractmethod
    def names(self) -> Sequence[str]: ...

    @property
    @abstractmethod
    def breakers(self) -> Mapping[str, CircuitBreaker]:
        """The circuit breakers of this replica, by the provider whose upstream they guard."""

    @property
    @abstractmethod
    def default(self) -> str | None:
        """Who answers a prompt that names nobody."""
