"""The life of services: registration, starting in order, stopping in reverse, and everything that can go wrong."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from webedt.kernel import (
    AService,
    ATransactions,
    Connection,
    Phase,
    ServiceError,
    ServiceNotReady,
    ServiceNotRegistered,
    ServiceProvider,
    ServiceStateError,
    State,
)

R = TypeVar("R")
Hook = Callable[[AService], Awaitable[None]]


class ALogger(AService):
    order = -100

    @abstractmethod
    def info(self) -> None: ...


class ADatabase(AService):
    order = -50

    @abstractmethod
    def query(self) -> None: ...


class AClient(AService):
    order = 50

    @abstractmethod
    def call(self) -> None: ...


class AOtherClient(AService):
    order = 50

    @abstractmethod
    def call(self) -> None: ...


class Recorded(AService):
    """Notes its starts and stops in `journal`; hooks make it fail, wait or look others up."""

    def __init__(self, journal: list[str], on_start: Hook | None = None, on_stop: Hook | None = None) -> None:
        self.journal = journal
        self.on_start = on_start
        self.on_stop = on_stop

    async def initialize(self) -> None:
        self.journal.append(f"+{type(self).__name__}")
        if self.on_start is not None:
            await self.on_start(self)

    async def dispose(self) -> None:
        self.journal.append(f"-{type(self).__name__}")
        if self.on_stop is not None:
            await self.on_stop(self)


class Logger(Recorded, ALogger):
    def info(self) -> None: ...


class Database(Recorded, ADatabase):
    def query(self) -> None: ...


class Client(Recorded, AClient):
    def call(self) -> None: ...


class OtherClient(Recorded, AOtherClient):
    def call(self) -> None: ...


class Gate:
    """A hook that says when it is reached and waits until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, service: AService) -> None:
        self.reached.set()
        await self.open.wait()


async def opened(gate: Gate) -> None:
    """Opens `gate`; as a task it does so after the first step of every task created before it."""
    gate.open.set()


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancels `task`, which must end as cancelled; as a task it does so after the first step of `task`."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def raising(error: BaseException) -> Hook:
    async def hook(service: AService) -> None:
        raise error

    return hook


def failing_once(error: BaseException) -> Hook:
    errors = [error]

    async def hook(service: AService) -> None:
        if errors:
            raise errors.pop()

    return hook


def provider_of(
    journal: list[str],
    *,
    database: tuple[Hook | None, Hook | None] = (None, None),
    client: tuple[Hook | None, Hook | None] = (None, None),
) -> ServiceProvider:
    """Three services, registered in another order than they start in."""
    provider = ServiceProvider()
    provider.register(AClient, Client(journal, *client))
    provider.register(ALogger, Logger(journal))
    provider.register(ADatabase, Database(journal, *database))
    return provider


STARTED = ["+Logger", "+Database", "+Client"]
STOPPED = ["-Client", "-Database", "-Logger"]


async def test_services_start_by_order_and_stop_in_reverse() -> None:
    journal: list[str] = []
    provider = provider_of(journal)
    await provider.initialize()
    assert journal == STARTED
    await provider.reset()
    assert journal == STARTED + STOPPED


async def test_equal_orders_start_as_they_were_registered() -> None:
    journal: list[str] = []
    provider = ServiceProvider()
    provider.register(AOtherClient, OtherClient(journal))
    provider.register(AClient, Client(journal))
    await provider.initialize()
    assert journal == ["+OtherClient", "+Client"]


async def test_two_providers_know_nothing_of_each_other() -> None:
    one, other = ServiceProvider(), ServiceProvider()
    one.register(ALogger, Logger([]))
    assert one.has(ALogger)
    assert not other.has(ALogger)


async def test_get_returns_the_instance_registered_under_the_token() -> None:
    provider = ServiceProvider()
    logger = Logger([])
    provider.register(ALogger, logger)
    assert provider.get(ALogger) is logger
    await provider.initialize()
    assert provider.get(ALogger) is logger


async def test_an_unregistered_token_is_refused_with_the_list_of_registered_ones() -> None:
    provider = provider_of([])
    with pytest.raises(ServiceNotRegistered, match=r"AOtherClient is not registered.*AClient, ALogger, ADatabase"):
        provider.get(AOtherClient)
    with pytest.raises(LookupError, match="registered: nothing"):
        ServiceProvider().get(ALogger)


async def test_a_token_is_registered_only_once() -> None:
    provider = provider_of([])
    with pytest.raises(ServiceStateError, match="ALogger is taken by Logger"):
        provider.register(ALogger, Logger([]))


async def test_an_instance_of_another_type_is_refused_naming_both() -> None:
    provider = ServiceProvider()
    with pytest.raises(TypeError, match=r"Client is not a ADatabase"):
        provider.register(ADatabase, Client([]))
    with pytest.raises(TypeError, match=r"ALogger needs an instance, not the class Logger"):
        provider.register(ALogger, Logger)  # type: ignore[type-var]
    assert not provider.has(ADatabase)
    assert not provider.has(ALogger)


@pytest.mark.parametrize("token", [Logger, AService, int, "ALogger"])
async def test_only_an_abstract_class_derived_from_the_base_is_a_token(token: type[Logger]) -> None:
    provider = ServiceProvider()
    with pytest.raises(TypeError, match="cannot be a token"):
        provider.register(token, Logger([]))
    with pytest.raises(TypeError, match="cannot be a token"):
        provider.get(token)


async def test_registering_late_is_refused_until_the_provider_is_reset() -> None:
    gate = Gate()
    provider = provider_of([], database=(gate, None))
    starting = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    with pytest.raises(ServiceStateError, match=r"AOtherClient comes too late: the provider is initializing"):
        provider.register(AOtherClient, OtherClient([]))
    gate.open.set()
    await starting
    late = OtherClient([])
    with pytest.raises(ServiceStateError, match="ready"):
        provider.register(AOtherClient, late)
    await provider.reset()
    provider.register(AOtherClient, late)
    assert provider.get(AOtherClient) is late


async def test_a_service_belongs_to_one_provider() -> None:
    logger = Logger([])
    ServiceProvider().register(ALogger, logger)
    second = ServiceProvider()
    with pytest.raises(ServiceStateError, match="Logger already belongs to another"):
        second.register(ALogger, logger)
    assert not second.has(ALogger)


async def test_services_is_refused_before_registration_and_is_the_provider_after_it() -> None:
    logger = Logger([])
    with pytest.raises(ServiceStateError, match="Logger is not registered"):
        _ = logger.services
    provider = ServiceProvider()
    provider.register(ALogger, logger)
    assert logger.services is provider


class ABoth(ATransactions):
    order = -50


class Both(Recorded, ABoth):
    async def with_transaction(self, work: Callable[[Connection], Awaitable[R]], *, attempts: int = 3) -> R:
        return await work(None)


async def test_one_instance_under_two_tokens_lives_once() -> None:
    journal: list[str] = []
    provider, both = ServiceProvider(), Both(journal)
    provider.register(ABoth, both)
    provider.register(ATransactions, both)
    await provider.initialize()
    await provider.reset()
    assert journal == ["+Both", "-Both"]
    assert provider.get(ABoth) is provider.get(ATransactions)
    assert [one.tokens for one in provider.registered] == [("ABoth", "ATransactions")]


async def test_a_second_initialize_does_nothing() -> None:
    journal: list[str] = []
    provider = provider_of(journal)
    await provider.initialize()
    await provider.initialize()
    assert journal == STARTED


async def test_concurrent_callers_of_initialize_share_one_start() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(gate, None))
    first = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    second = asyncio.create_task(provider.initialize())
    gate.open.set()
    await asyncio.gather(first, second)
    assert journal == STARTED


async def test_concurrent_callers_of_initialize_share_its_failure() -> None:
    journal: list[str] = []
    gate, error = Gate(), OSError("no route")
    provider = provider_of(journal, database=(gate, None), client=(raising(error), None))
    first = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    second = asyncio.create_task(provider.initialize())
    gate.open.set()
    for outcome in await asyncio.gather(first, second, return_exceptions=True):
        assert outcome is error
    assert journal == STARTED + STOPPED


async def test_a_cancelled_waiter_leaves_the_start_alone() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(gate, None))
    first = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    second = asyncio.create_task(provider.initialize())
    await asyncio.create_task(cancelled(second))
    gate.open.set()
    await first
    assert provider.state is State.READY
    assert journal == STARTED


async def test_a_waiter_starts_the_services_itself_when_the_starter_is_cancelled() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(gate, None))
    first = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    second = asyncio.create_task(provider.initialize())
    await cancelled(first)
    gate.open.set()
    await second
    assert journal == ["+Logger", "+Database", "-Database", "-Logger", *STARTED]


async def test_a_failed_start_disposes_of_all_that_began_in_reverse_and_may_be_tried_again() -> None:
    journal: list[str] = []
    error = OSError("refused")
    provider = provider_of(journal, database=(failing_once(error), None))
    with pytest.raises(OSError, match="refused") as caught:
        await provider.initialize()
    assert caught.value is error
    assert journal == ["+Logger", "+Database", "-Database", "-Logger"]
    assert provider.state is State.IDLE
    journal.clear()
    await provider.initialize()
    assert journal == STARTED


async def test_a_fault_while_undoing_a_failed_start_is_noted_on_the_original_error() -> None:
    journal: list[str] = []
    provider = provider_of(journal, database=(raising(OSError("refused")), raising(RuntimeError("stuck"))))
    with capture_logs() as logs, pytest.raises(OSError, match="refused") as caught:
        await provider.initialize()
    assert any("stuck" in note for note in caught.value.__notes__)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["undo_failed"]
    assert journal[-1] == "-Logger"


async def test_a_cancelled_start_disposes_of_all_that_began_and_stays_cancelled() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(gate, None))
    starting = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    await cancelled(starting)
    assert journal == ["+Logger", "+Database", "-Database", "-Logger"]
    assert provider.state is State.IDLE


async def test_every_service_is_disposed_of_though_some_throw_and_the_errors_come_together() -> None:
    journal: list[str] = []
    one, two = RuntimeError("one"), RuntimeError("two")
    provider = provider_of(journal, database=(None, raising(two)), client=(None, raising(one)))
    await provider.initialize()
    with pytest.raises(ExceptionGroup, match="services failed to stop") as caught:
        await provider.reset()
    assert caught.value.exceptions == (one, two)
    assert one.__notes__ == ["raised by: Client"]
    assert journal == STARTED + STOPPED
    assert provider.state is State.IDLE


async def test_a_cancelled_reset_cuts_off_the_hanging_service_and_disposes_of_the_rest() -> None:
    journal: list[str] = []
    hanging = Gate()
    provider = provider_of(journal, client=(None, hanging))
    await provider.initialize()
    stopping = asyncio.create_task(provider.reset())
    await hanging.reached.wait()
    await cancelled(stopping)
    assert journal == STARTED + STOPPED
    assert provider.state is State.IDLE


async def test_errors_that_a_cancellation_hides_are_logged() -> None:
    hanging = Gate()
    provider = provider_of([], database=(None, raising(RuntimeError("lost"))), client=(None, hanging))
    await provider.initialize()
    stopping = asyncio.create_task(provider.reset())
    await hanging.reached.wait()
    with capture_logs() as logs:
        await cancelled(stopping)
    (line,) = (line for line in logs if line["event"] == "teardown_failed")
    assert str(line["exc_info"].exceptions[0]) == "lost"


async def test_reset_of_what_never_started_and_a_second_reset_do_nothing() -> None:
    journal: list[str] = []
    provider = provider_of(journal)
    await provider.reset()
    assert journal == []
    await provider.initialize()
    await provider.reset()
    await provider.reset()
    assert journal == STARTED + STOPPED


async def test_a_provider_without_services_goes_through_the_same_states() -> None:
    provider = ServiceProvider()
    states = [provider.state]
    await provider.initialize()
    states.append(provider.state)
    await provider.reset()
    states.append(provider.state)
    assert states == [State.IDLE, State.READY, State.IDLE]


async def test_concurrent_resets_dispose_once_and_both_wait_for_the_end() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(None, gate))
    await provider.initialize()
    first = asyncio.create_task(provider.reset())
    await gate.reached.wait()
    second = asyncio.create_task(provider.reset())
    gate.open.set()
    await second
    assert journal == STARTED + STOPPED
    await first


async def test_reset_during_initialize_abandons_the_start_and_cleans_up() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(gate, None))
    starting = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    stopping = asyncio.create_task(provider.reset())
    opening = asyncio.create_task(opened(gate))
    await asyncio.gather(stopping, opening)
    assert journal == ["+Logger", "+Database", "-Database", "-Logger"]
    with pytest.raises(ServiceStateError, match=r"abandoned the start after Database"):
        await starting


async def test_reset_while_the_last_service_starts_leaves_nothing_running() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, client=(gate, None))
    starting = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    stopping = asyncio.create_task(provider.reset())
    opening = asyncio.create_task(opened(gate))
    await asyncio.wait([starting, stopping, opening])
    assert journal == STARTED + STOPPED
    assert isinstance(starting.exception(), ServiceStateError)
    assert provider.state is State.IDLE


async def test_initialize_during_reset_waits_and_then_starts_anew() -> None:
    journal: list[str] = []
    gate = Gate()
    provider = provider_of(journal, database=(None, gate))
    await provider.initialize()
    stopping = asyncio.create_task(provider.reset())
    await gate.reached.wait()
    starting = asyncio.create_task(provider.initialize())
    gate.open.set()
    await asyncio.gather(stopping, starting)
    assert journal == STARTED + STOPPED + STARTED
    assert provider.state is State.READY


async def test_after_a_reset_the_same_services_may_be_started_again() -> None:
    journal: list[str] = []
    provider = provider_of(journal)
    for _ in range(2):
        await provider.initialize()
        await provider.reset()
    assert journal == (STARTED + STOPPED) * 2


def looking_up(token: type[AService], found: list[object]) -> Hook:
    async def hook(service: AService) -> None:
        try:
            found.append(service.services.get(token))
        except ServiceError as error:
            found.append(error)

    return hook


async def test_a_starting_service_gets_those_of_a_lower_order() -> None:
    found: list[object] = []
    provider = provider_of([], database=(looking_up(ALogger, found), None))
    await provider.initialize()
    assert found == [provider.get(ALogger)]


@pytest.mark.parametrize(("token", "named"), [(AClient, "Client, order 50"), (ADatabase, "Database, order -50")])
async def test_a_starting_service_is_refused_a_later_one_and_itself(token: type[AService], named: str) -> None:
    found: list[object] = []
    provider = provider_of([], database=(looking_up(token, found), None))
    await provider.initialize()
    (error,) = found
    assert isinstance(error, ServiceNotReady)
    assert named in str(error)
    assert "while Database (order -50) is initializing" in str(error)


async def test_a_stopping_service_still_gets_lower_ones_and_no_longer_the_disposed() -> None:
    found: list[object] = []
    provider = provider_of([], database=(None, looking_up(ALogger, found)))
    logger = provider.get(ALogger)
    assert isinstance(logger, Logger)
    logger.on_stop = looking_up(AClient, found)
    await provider.initialize()
    await provider.reset()
    assert found[0] is logger
    assert isinstance(found[1], ServiceNotReady)


@pytest.mark.parametrize("call", [ServiceProvider.initialize, ServiceProvider.reset])
async def test_a_service_that_starts_or_stops_its_own_provider_is_refused_instead_of_waiting_for_itself(
    call: Callable[[ServiceProvider], Awaitable[None]],
) -> None:
    async def hook(service: AService) -> None:
        with pytest.raises(ServiceStateError, match="its own provider"):
            await call(provider)

    journal: list[str] = []
    provider = provider_of(journal, database=(hook, hook))
    await provider.initialize()
    await provider.reset()
    assert journal == STARTED + STOPPED


async def test_the_state_of_each_service_can_be_read_for_logs() -> None:
    gate = Gate()
    provider = provider_of([], database=(gate, None))
    starting = asyncio.create_task(provider.initialize())
    await gate.reached.wait()
    assert provider.state is State.INITIALIZING
    assert [(one.service, one.order, one.phase) for one in provider.registered] == [
        ("Logger", -100, Phase.READY),
        ("Database", -50, Phase.INITIALIZING),
        ("Client", 50, Phase.REGISTERED),
    ]
    gate.open.set()
    await starting
    assert {one.phase for one in provider.registered} == {Phase.READY}


async def test_the_service_that_hangs_while_stopping_can_be_told_from_the_others() -> None:
    gate = Gate()
    provider = provider_of([], database=(None, gate))
    await provider.initialize()
    stopping = asyncio.create_task(provider.reset())
    await gate.reached.wait()
    assert [one.phase for one in provider.registered] == [Phase.READY, Phase.DISPOSING, Phase.REGISTERED]
    gate.open.set()
    await stopping
    assert {one.phase for one in provider.registered} == {Phase.REGISTERED}


async def test_a_service_that_wants_the_process_to_end_is_cleaned_up_after_as_well() -> None:
    journal: list[str] = []
    provider = provider_of(journal, database=(raising(SystemExit("bad configuration")), None))
    with pytest.raises(SystemExit, match="bad configuration"):
        await provider.initialize()
    assert journal == ["+Logger", "+Database", "-Database", "-Logger"]
