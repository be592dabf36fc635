"""Explicit dependencies: a frozen dataclass filled from a provider, or by hand in a test."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import FrozenInstanceError, dataclass, field
from typing import ClassVar

import pytest

from webedt.kernel import AService, ServiceContainer, ServiceNotRegistered, ServiceProvider


class AClock(AService):
    @abstractmethod
    def now(self) -> int: ...


class AMailer(AService):
    @abstractmethod
    def send(self) -> None: ...


class Clock(AClock):
    def __init__(self, now: int = 1) -> None:
        self._now = now

    def now(self) -> int:
        return self._now


class Mailer(AMailer):
    def send(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Deps(ServiceContainer):
    kind: ClassVar[str] = "deps"
    clock: AClock
    mailer: AMailer


@dataclass(frozen=True, kw_only=True)
class Wider(Deps):
    page_size: int = 50
    labels: list[str] = field(default_factory=list)
    second_clock: AClock = field(default_factory=Clock)


@dataclass(frozen=True)
class Wrong(ServiceContainer):
    clock: Clock


@dataclass(frozen=True)
class Optional(ServiceContainer):
    clock: AClock | None


class Undecorated(ServiceContainer):
    clock: AClock


@pytest.fixture
def provider() -> ServiceProvider:
    provider = ServiceProvider()
    provider.register(AClock, Clock())
    provider.register(AMailer, Mailer())
    return provider


def test_each_field_is_filled_with_the_service_of_its_token(provider: ServiceProvider) -> None:
    deps = Deps.from_provider(provider)
    assert deps.clock is provider.get(AClock)
    assert deps.mailer is provider.get(AMailer)


def test_a_scope_fills_it_with_its_overrides(provider: ServiceProvider) -> None:
    scope = provider.create_scope()
    scope.override(AClock, Clock(7))
    assert Deps.from_provider(scope).clock.now() == 7


def test_a_test_may_build_it_by_hand_from_fakes() -> None:
    fake = Clock(42)
    assert Deps(clock=fake, mailer=Mailer()).clock is fake


def test_it_is_frozen(provider: ServiceProvider) -> None:
    with pytest.raises(FrozenInstanceError):
        Deps.from_provider(provider).clock = Clock()  # type: ignore[misc]


def test_every_missing_service_is_named_at_once() -> None:
    with pytest.raises(ServiceNotRegistered, match=r"Deps lacks clock: AClock, mailer: AMailer"):
        Deps.from_provider(ServiceProvider())


def test_fields_with_a_default_keep_it_unless_their_token_is_registered(provider: ServiceProvider) -> None:
    wider = Wider.from_provider(provider)
    assert (wider.page_size, wider.labels) == (50, [])
    assert wider.mailer is provider.get(AMailer)
    assert wider.second_clock is provider.get(AClock)


@pytest.mark.parametrize("container", [Wrong, Optional])
def test_a_field_that_names_no_token_is_refused(provider: ServiceProvider, container: type[ServiceContainer]) -> None:
    with pytest.raises(TypeError, match=rf"{container.__name__}\.clock is annotated with .*Clock.*, which is no token"):
        container.from_provider(provider)


def test_a_forgotten_decorator_is_refused_instead_of_giving_an_empty_container(provider: ServiceProvider) -> None:
    with pytest.raises(TypeError, match="Undecorated needs @dataclass"):
        Undecorated.from_provider(provider)
