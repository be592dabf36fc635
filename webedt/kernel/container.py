"""Explicit dependencies for those who are no services themselves, such as route factories.

Owns turning a dataclass annotated with tokens into one filled with services. Must not know routes, nor keep a
provider: who holds a container can reach what it names and nothing else.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Self, get_type_hints

from webedt.kernel.errors import ServiceNotRegistered
from webedt.kernel.service import ServiceLookup
from webedt.kernel.tokens import is_token, token_name


@dataclass(frozen=True)
class ServiceContainer:
    """Derive from it, name each dependency once with its token, and take the class as the factory's one argument:

        @dataclass(frozen=True, kw_only=True)
        class SessionRoutesServices(ServiceContainer):
            sessions: ASessionService
            runs: ARunService

    The application says `SessionRoutesServices.from_provider(provider)`, a test `SessionRoutesServices(sessions=fake,
    runs=fake)`.
    """

    @classmethod
    def from_provider(cls, services: ServiceLookup) -> Self:
        """Fill every field from a provider or a scope.

        A field with a default keeps it, unless its annotation is a token that is registered. Raises `TypeError` if
        the class is no dataclass or a field can be filled by nothing, and `ServiceNotRegistered` naming every token
        that is missing, not only the first.
        """
        if "__dataclass_fields__" not in cls.__dict__:
            raise TypeError(f"{token_name(cls)} needs @dataclass(frozen=True)")
        hints = get_type_hints(cls)
        found: dict[str, Any] = {}
        missing: list[str] = []
        for one in fields(cls):
            token = hints[one.name]
            optional = not one.init or one.default is not MISSING or one.default_factory is not MISSING
            if is_token(token) and one.init:
                if services.has(token):
                    found[one.name] = services.get(token)
                elif not optional:
                    missing.append(f"{one.name}: {token_name(token)}")
            elif not optional:
                raise TypeError(
                    f"{token_name(cls)}.{one.name} is annotated with {token_name(token)}, which is no token"
                )
        if missing:
            raise ServiceNotRegistered(f"{token_name(cls)} lacks {', '.join(missing)}")
        return cls(**found)
