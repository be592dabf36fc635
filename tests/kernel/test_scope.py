"""Overrides for one request: seen through their scope alone, and ended with it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

import pytest

from webedt.kernel import AService, ServiceNotReady, ServiceNotRegistered, ServiceProvider, ServiceStateError


class AUserContext(AService):
    @property
    @abstractmethod
    def user_id(self) -> str: ...


class AGreeter(AService):
    @abstractmethod
    def greet(self) -> str: ...


class User(AUserContext):
    def __init__(self, user_id: str) -> None:
        self._user_id = user_id

    @property
    def user_id(self) -> str:
        return self._user_id


class Greeter(AGreeter):
    """Greets whom it finds through its own `services`."""

    def __init__(self, journal: list[str] | None = None, name: str = "greeter") -> None:
        self.journal = [] if journal is None else journal
        self.name = name

    async def initialize(self) -> None:
        self.journal.append(f"+{self.name}")

    async def dispose(self) -> None:
        self.journal.append(f"-{self.name}")

    def greet(self) -> str:
        return f"hello {self.services.get(AUserContext).user_id}"


class JournaledUser(User):
    def __init__(self, user_id: str, journal: list[str], error: Exception | None = None) -> None:
        super().__init__(user_id)
        self.journal = journal
        self.error = error

    async def dispose(self) -> None:
        self.journal.append(f"-{self.user_id}")
        if self.error is not None:
            raise self.error


@pytest.fixture
def provider() -> ServiceProvider:
    provider = ServiceProvider()
    provider.register(AUserContext, User("nobody"))
    return provider


async def test_an_override_is_seen_through_its_scope_alone(provider: ServiceProvider) -> None:
    ada, bob = provider.create_scope(), provider.create_scope()
    ada.override(AUserContext, User("ada"))
    assert ada.get(AUserContext).user_id == "ada"
    assert bob.get(AUserContext).user_id == "nobody"
    assert provider.get(AUserContext).user_id == "nobody"


async def test_what_is_not_overridden_comes_from_the_provider(provider: ServiceProvider) -> None:
    scope = provider.create_scope()
    assert scope.get(AUserContext) is provider.get(AUserContext)
    assert scope.has(AUserContext)
    assert not scope.has(AGreeter)
    with pytest.raises(ServiceNotRegistered, match="AGreeter is not registered; registered: AUserContext"):
        scope.get(AGreeter)


async def test_a_token_unknown_to_the_provider_may_be_overridden(provider: ServiceProvider) -> None:
    scope = provider.create_scope()
    greeter = Greeter()
    scope.override(AGreeter, greeter)
    assert scope.has(AGreeter)
    assert scope.get(AGreeter) is greeter
    assert not provider.has(AGreeter)


async def test_an_override_of_another_type_is_refused_naming_both(provider: ServiceProvider) -> None:
    scope = provider.create_scope()
    with pytest.raises(TypeError, match="Greeter is not a AUserContext"):
        scope.override(AUserContext, Greeter())
    with pytest.raises(TypeError, match="User cannot be a token"):
        scope.override(User, User("ada"))
    assert scope.get(AUserContext).user_id == "nobody"


async def test_a_token_is_overridden_only_once_in_a_scope(provider: ServiceProvider) -> None:
    scope = provider.create_scope()
    scope.override(AUserContext, User("ada"))
    with pytest.raises(ServiceStateError, match="AUserContext is overridden already"):
        scope.override(AUserContext, User("eve"))
    assert scope.get(AUserContext).user_id == "ada"


async def test_a_lent_instance_is_neither_started_nor_disposed_of_and_serves_many_scopes(
    provider: ServiceProvider,
) -> None:
    greeter = Greeter()
    for _ in range(2):
        async with provider.create_scope() as scope:
            scope.override(AGreeter, greeter)
            assert scope.get(AGreeter) is greeter
    assert greeter.journal == []
    with pytest.raises(ServiceStateError, match="not registered"):
        greeter.greet()


async def test_a_started_service_is_initialised_sees_the_scope_and_is_disposed_of_at_its_end(
    provider: ServiceProvider,
) -> None:
    journal: list[str] = []
    async with provider.create_scope() as scope:
        scope.override(AUserContext, User("ada"))
        greeter = await scope.start(AGreeter, Greeter(journal))
        assert scope.get(AGreeter) is greeter
        assert greeter.greet() == "hello ada"
        assert journal == ["+greeter"]
    assert journal == ["+greeter", "-greeter"]


async def test_a_service_of_the_provider_does_not_see_the_overrides_of_a_scope(provider: ServiceProvider) -> None:
    provider.register(AGreeter, Greeter())
    scope = provider.create_scope()
    scope.override(AUserContext, User("ada"))
    assert scope.get(AGreeter).greet() == "hello nobody"


async def test_started_services_are_disposed_of_in_reverse_though_one_throws(provider: ServiceProvider) -> None:
    journal: list[str] = []
    error = RuntimeError("stuck")
    with pytest.raises(ExceptionGroup, match="scoped services failed to stop") as caught:
        async with provider.create_scope() as scope:
            await scope.start(AGreeter, Greeter(journal))
            await scope.start(AUserContext, JournaledUser("ada", journal, error))
    assert caught.value.exceptions == (error,)
    assert journal == ["+greeter", "-ada", "-greeter"]


async def test_started_services_are_disposed_of_when_the_request_fails(provider: ServiceProvider) -> None:
    journal: list[str] = []
    with pytest.raises(ZeroDivisionError):
        async with provider.create_scope() as scope:
            await scope.start(AGreeter, Greeter(journal))
            _ = 1 / 0
    assert journal == ["+greeter", "-greeter"]


class Refusing(Greeter):
    """Looks itself up while it starts, then fails."""

    async def initialize(self) -> None:
        await super().initialize()
        with pytest.raises(ServiceNotReady, match="AGreeter"):
            self.services.get(AGreeter)
        raise OSError("refused")


async def test_a_service_that_fails_to_start_is_disposed_of_and_not_overridden(provider: ServiceProvider) -> None:
    refusing = Refusing()
    async with provider.create_scope() as scope:
        with pytest.raises(OSError, match="refused"):
            await scope.start(AGreeter, refusing)
        assert refusing.journal == ["+greeter", "-greeter"]
        assert not scope.has(AGreeter)
        await scope.start(AGreeter, Greeter())
    assert refusing.journal == ["+greeter", "-greeter"]


async def test_a_service_still_starting_when_its_scope_ends_is_disposed_of(provider: ServiceProvider) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    class Slow(Greeter):
        async def initialize(self) -> None:
            await super().initialize()
            reached.set()
            await gate.wait()

    slow = Slow()
    async with provider.create_scope() as scope:
        starting = asyncio.create_task(scope.start(AGreeter, slow))
        await reached.wait()
    gate.set()
    with pytest.raises(ServiceStateError, match=r"closed while .*Slow was starting"):
        await starting
    assert slow.journal == ["+greeter", "-greeter"]


async def test_starting_needs_a_scope_that_was_entered(provider: ServiceProvider) -> None:
    greeter = Greeter()
    with pytest.raises(ServiceStateError, match="only inside `async with`"):
        await provider.create_scope().start(AGreeter, greeter)
    assert greeter.journal == []


async def test_a_closed_scope_refuses_everything_instead_of_answering_with_the_provider(
    provider: ServiceProvider,
) -> None:
    async with provider.create_scope() as scope:
        scope.override(AUserContext, User("ada"))
        with pytest.raises(ServiceStateError, match="entered already"):
            await scope.__aenter__()
    with pytest.raises(ServiceStateError, match="its request is over"):
        scope.get(AUserContext)
    with pytest.raises(ServiceStateError, match="its request is over"):
        scope.has(AUserContext)
    with pytest.raises(ServiceStateError, match="its request is over"):
        scope.override(AUserContext, User("eve"))
    with pytest.raises(ServiceStateError, match="its request is over"):
        await scope.__aenter__()
