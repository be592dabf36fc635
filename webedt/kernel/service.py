"""The contract of every service.

Owns `AService`, from which every token and every implementation derives, and `ServiceLookup`, the little that a
service may ask of whoever holds it. Must not know how services are stored, ordered or started.
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, Protocol, TypeVar

from typing_extensions import TypeForm

from webedt.kernel.errors import ServiceStateError

T = TypeVar("T", bound="AService")


class ServiceLookup(Protocol):
    """Where services are found: a `ServiceProvider`, or a `ServiceScope` in front of one."""

    def get(self, token: TypeForm[T]) -> T:
        """The service under `token`. Raises `ServiceNotRegistered` or `ServiceNotReady`."""
        ...

    def has(self, token: TypeForm[AService]) -> bool:
        """Whether something is registered under `token`, ready or not."""
        ...


class AService(ABC):  # noqa: B024 (a base of contracts; it has none of its own)
    """Base of all services. An abstract class that derives from it is a token: a contract that is also a lookup key.

    A contract says in its docstring what its methods promise, sets `order`, and declares abstract methods; an
    implementation fills them in and may override `initialize` and `dispose`. Constructors do no work and need no
    `super().__init__()`; connections, tasks and files belong to `initialize`.
    """

    order: ClassVar[int] = 0
    """Lower orders start earlier and stop later: logger -100, database -50, API clients 50."""

    _services: ServiceLookup | None = None

    @property
    def services(self) -> ServiceLookup:
        """Where this service finds the others. Raises `ServiceStateError` before it is registered."""
        if self._services is None:
            raise ServiceStateError(
                f"{type(self).__name__} is not registered: `services` is available once register() was called"
            )
        return self._services

    def attach(self, services: ServiceLookup) -> None:
        """Called once by the holder that runs this service's life; raises `ServiceStateError` for a second holder."""
        if self._services is not None and self._services is not services:
            raise ServiceStateError(f"{type(self).__name__} already belongs to another provider or scope")
        self._services = services

    async def initialize(self) -> None:  # noqa: B027 (having nothing to start is normal)
        """Start. Called once per start of the provider; services of a lower order are ready by then.

        If it raises or is cancelled, `dispose` is called, so `dispose` must cope with a half-done start. Another task
        may call `dispose`, so no `TaskGroup` and no `asyncio.timeout` may stay open from here to there.
        """

    async def dispose(self) -> None:  # noqa: B027 (having nothing to stop is normal)
        """Stop and give back everything. Services of a lower order are still ready. May be followed by a new start."""
