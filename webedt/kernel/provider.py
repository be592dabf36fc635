"""The registry of services and their life.

Owns which instance stands under which token, and starting and stopping them in order. Must not know what any service
does, nor anything of requests.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import structlog
from typing_extensions import TypeForm

from webedt.kernel.errors import ServiceNotReady, ServiceNotRegistered, ServiceStateError
from webedt.kernel.registration import Entry, Phase, Registration
from webedt.kernel.scope import ServiceScope
from webedt.kernel.service import AService, T
from webedt.kernel.teardown import Step, tear_down, undo
from webedt.kernel.tokens import require_instance, require_token, token_name
from webedt.kernel.transition import State, Transition


class ServiceProvider:
    """Holds the services of one application.

    It is an instance, made by the composition root and handed on, because two applications in one process (replicas
    in a test, instances in development) must not see each other's database, and because a global would let any
    module reach any service unseen. It belongs to one event loop.

    Registration is open while the provider is idle: before `initialize`, and again after `reset` or a failed start.
    """

    def __init__(self) -> None:
        self._entries: dict[type[AService], Entry] = {}
        self._started: list[Entry] = []
        self._state = State.IDLE
        self._transition: Transition | None = None
        self._log = structlog.get_logger(component=type(self).__name__)

    @property
    def state(self) -> State:
        return self._state

    @property
    def registered(self) -> tuple[Registration, ...]:
        """Every service with its tokens, order and phase, in order of starting."""
        return tuple(entry.snapshot() for entry in self._in_order())

    def register(self, token: TypeForm[T], instance: T) -> None:
        """Put `instance` under `token`. One instance may stand under several tokens; it still has one life.

        Raises `TypeError` if `token` is no token or `instance` does not fulfil it, and `ServiceStateError` once
        initialisation has begun, if the token is taken, or if the instance belongs to another provider.
        """
        require_instance(token, instance)
        contract = require_token(token)
        if self._state is not State.IDLE:
            raise ServiceStateError(f"{token_name(contract)} comes too late: the provider is {self._state}")
        if contract in self._entries:
            raise ServiceStateError(f"{token_name(contract)} is taken by {self._entries[contract].name}")
        instance.attach(self)
        known = (entry for entry in self._entries.values() if entry.service is instance)
        entry = next(known, None) or Entry(instance)
        entry.tokens.append(contract)
        self._entries[contract] = entry

    def get(self, token: TypeForm[T]) -> T:
        """The service under `token`, typed as its contract.

        While the provider starts or stops, only what is ready is handed out: asking for oneself, a cycle, or a
        service that starts later raises `ServiceNotReady`. While it is idle every instance may be had, to be wired
        up, not to be used. An unknown token raises `ServiceNotRegistered`, which lists the known ones.
        """
        entry = self._entries.get(cast(type[AService], token))
        if entry is None:
            known = ", ".join(map(token_name, self._entries)) or "nothing"
            raise ServiceNotRegistered(f"{token_name(require_token(token))} is not registered; registered: {known}")
        if self._transition is not None and entry.phase is not Phase.READY:
            raise ServiceNotReady(
                f"{token_name(token)} ({entry.name}, order {entry.service.order}) is not ready while {self._busy()}"
            )
        return cast(T, entry.service)

    def has(self, token: TypeForm[AService]) -> bool:
        """Whether `token` is registered, ready or not."""
        return require_token(token) in self._entries

    def create_scope(self) -> ServiceScope:
        """A scope for one request, in front of this provider."""
        return ServiceScope(self)

    async def initialize(self) -> None:
        """Start all services by `order`, equal orders as they were registered. A second call does nothing.

        - Called while another call is at work, it waits and shares that outcome, also the error; if the other call
          was cancelled, it starts the services itself. Called during `reset`, it waits, then starts anew.
        - If a service fails or the caller is cancelled, all that began, the half-started one included, is disposed
          of in reverse and the original error is raised; faults of that clean-up become notes on it and a log line.
          The provider is idle again, so the start may be tried again.
        - A `reset` meanwhile abandons the start: no further service begins, and this raises `ServiceStateError`.
        """
        while (current := self._transition) is not None:
            outcome = await current.join()
            if current.state is State.INITIALIZING and not isinstance(outcome, CancelledError):
                if outcome is not None:
                    raise outcome
                return
        if self._state is State.READY:
            return
        with self._moving(State.INITIALIZING, State.READY) as transition:
            try:
                for entry in self._in_order():
                    self._started.append(entry)
                    await entry.initialize()
                    if transition.abandoned:
                        raise ServiceStateError(f"reset() abandoned the start after {entry.name}")
            except BaseException as error:
                await undo(error, self._disposals())
                raise

    async def reset(self) -> None:
        """Dispose of everything that began, in reverse order of its actual start. Registrations stay.

        Every service is disposed of even if another one raises or the caller is cancelled (see `tear_down`); the
        errors come as one `ExceptionGroup`. With nothing started, and when called twice, it does nothing; called
        while another `reset` is at work, it waits for that one. During `initialize` it lets the service being
        started finish, has the start abandoned and cleaned up, and then returns. Afterwards the provider may be
        initialised again.
        """
        while (current := self._transition) is not None:
            await current.join(abandon=True)
        with self._moving(State.RESETTING, State.IDLE):
            await tear_down("services failed to stop", self._disposals())

    def _in_order(self) -> list[Entry]:
        return sorted(dict.fromkeys(self._entries.values()), key=lambda entry: entry.service.order)

    def _busy(self) -> str:
        busy = (one for one in self._entries.values() if one.phase in (Phase.INITIALIZING, Phase.DISPOSING))
        return ", ".join(f"{one.name} (order {one.service.order}) is {one.phase}" for one in busy) or self._state

    def _disposals(self) -> Iterator[tuple[str, Step]]:
        while self._started:
            entry = self._started.pop()
            self._log.debug("service_disposing", service=entry.name)
            yield entry.name, entry.dispose

    @contextmanager
    def _moving(self, through: State, to: State) -> Iterator[Transition]:
        """Hold one transition: the state after it is `to`, or idle if it failed; whoever joined learns the outcome."""
        transition = self._transition = Transition(through)
        self._state = through
        outcome: BaseException | None = None
        try:
            yield transition
        except BaseException as error:
            outcome = error
            raise
        finally:
            self._state = to if outcome is None else State.IDLE
            self._transition = None
            transition.finish(outcome)
