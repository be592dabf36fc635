"""Distributed traces as the rest of the program sees them: spans, and which of them is the current one.

Owns the contract and what stands in for it while tracing is off. Must not know OpenTelemetry, which is imported by the
one module that implements this with it (`webedt.telemetry.opentelemetry`), nor what any service does: who starts a span
names it and its attributes, after the semantic conventions of OpenTelemetry where they have a word for it.

No span stands for an event of a log, and none for an append, which serves many runs at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Literal

from webedt.kernel import AService

Attribute = str | int | float | bool | Sequence[str]
Kind = Literal["internal", "server", "client"]


class ASpan(ABC):
    """One piece of work. Entered, it is the current span of its task and of the tasks that are started there; left, it
    ends, and an exception that passes is its `error.type`. None of the methods raises."""

    @property
    @abstractmethod
    def recording(self) -> bool:
        """Whether anything that is told it will be seen: it was sampled, and has not ended."""

    @property
    @abstractmethod
    def traceparent(self) -> str | None:
        """Its place in its trace, as W3C Trace Context writes it, sampled or not; None without tracing."""

    @abstractmethod
    def set(self, name: str, value: Attribute) -> None: ...

    @abstractmethod
    def fail(self, error_type: str) -> None:
        """It went wrong. `error_type` is from a small set and quotes nobody."""

    @abstractmethod
    def end(self) -> None:
        """For who does not enter it, or does not wait for its end. Idempotent."""

    @abstractmethod
    def __enter__(self) -> "ASpan": ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class ATracing(AService):
    """`enabled`: whether there is any use in asking. Who costs something per request is not even put in place without.

    Starts early and stops late, so that what others do while they stop is still sent.
    """

    order: ClassVar[int] = -90
    enabled: ClassVar[bool]

    @property
    @abstractmethod
    def current(self) -> ASpan:
        """The span that this task works for."""

    @abstractmethod
    def start(
        self,
        name: str,
        attributes: Mapping[str, Attribute],
        *,
        kind: Kind = "internal",
        parent: Mapping[str, str] | None = None,
    ) -> ASpan:
        """A child of the current span; or, with `parent`, of the span elsewhere that its `traceparent` names, and if
        it names none that is well-formed, the first of a new trace."""


class NoSpan(ASpan):
    recording = False
    traceparent = None

    def set(self, name: str, value: Attribute) -> None:
        pass

    def fail(self, error_type: str) -> None:
        pass

    def end(self) -> None:
        pass

    def __enter__(self) -> ASpan:
        return self

    def __exit__(self, *_error: object) -> None:
        pass


class NoTracing(ATracing):
    """Tracing is off."""

    enabled = False
    current = NoSpan()

    def start(self, name: str, attributes: Mapping[str, Attribute], **_more: object) -> ASpan:
        return self.current
