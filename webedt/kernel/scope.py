"""The services of one request.

Owns overrides that hold for one request only, such as who the user is, and the life of the services started for it.
Must not know HTTP, nor change the provider behind it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self, cast

from typing_extensions import TypeForm

from webedt.kernel.errors import ServiceNotReady, ServiceStateError
from webedt.kernel.service import AService, ServiceLookup, T
from webedt.kernel.teardown import tear_down, undo
from webedt.kernel.tokens import require_instance, require_token, token_name


class ServiceScope:
    """Looks up its own overrides first, then the provider.

    Overrides are seen through this scope alone: not by the provider, not by another scope, not by the provider's own
    services, whose `services` stays the provider. Plain overrides need no `async with`; `start` does.
    A closed scope refuses everything, as falling back would quietly answer with the provider's service.
    """

    def __init__(self, provider: ServiceLookup) -> None:
        self._provider = provider
        self._overrides: dict[type[AService], AService] = {}
        self._started: list[AService] = []
        self._starting: set[type[AService]] = set()
        self._entered = False
        self._closed = False

    def override(self, token: TypeForm[T], instance: T) -> None:
        """Lend `instance` to this scope under `token`.

        It stays the caller's: the scope neither attaches, initialises nor disposes of it, so one instance may be
        lent to many scopes. Raises `TypeError` as `register` does, `ServiceStateError` if overridden already.
        """
        contract = self._free(token, instance)
        self._overrides[contract] = instance

    async def start(self, token: TypeForm[T], instance: T) -> T:
        """Override with a service that lives and dies with this scope: initialised now, disposed of at its end.

        Its `services` is this scope. If `initialize` fails, it is disposed of at once and not overridden.
        """
        contract = self._free(token, instance)
        if not self._entered:
            raise ServiceStateError(f"{token_name(contract)} can be started only inside `async with` on the scope")
        instance.attach(self)
        self._overrides[contract] = instance
        self._starting.add(contract)
        try:
            await instance.initialize()
            if self._closed:
                raise ServiceStateError(f"the scope was closed while {type(instance).__qualname__} was starting")
        except BaseException as error:
            self._overrides.pop(contract, None)
            await undo(error, [(type(instance).__qualname__, instance.dispose)])
            raise
        finally:
            self._starting.discard(contract)
        self._started.append(instance)
        return instance

    def get(self, token: TypeForm[T]) -> T:
        """The override under `token`, else what the provider has; raises as the provider's `get` does."""
        self._refuse_if_closed()
        contract = cast(type[AService], token)
        if contract not in self._overrides:
            return self._provider.get(token)
        if contract in self._starting:
            raise ServiceNotReady(f"{token_name(token)} is still being started by this scope")
        return cast(T, self._overrides[contract])

    def has(self, token: TypeForm[AService]) -> bool:
        """Whether this scope or the provider has `token`, ready or not."""
        self._refuse_if_closed()
        return token in self._overrides or self._provider.has(token)

    async def __aenter__(self) -> Self:
        self._refuse_if_closed()
        if self._entered:
            raise ServiceStateError("the scope is entered already")
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the scope and dispose of what it started, in reverse; faults come together, see `tear_down`."""
        self._closed = True
        steps = [(type(one).__qualname__, one.dispose) for one in reversed(self._started)]
        self._started.clear()
        self._overrides.clear()
        await tear_down("scoped services failed to stop", steps)

    def _free(self, token: TypeForm[T], instance: T) -> type[AService]:
        self._refuse_if_closed()
        require_instance(token, instance)
        contract = require_token(token)
        if contract in self._overrides:
            raise ServiceStateError(f"{token_name(contract)} is overridden already in this scope")
        return contract

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ServiceStateError("the scope is closed: its request is over")
