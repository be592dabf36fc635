"""What counts as a token, and what may stand under it.

Owns the two checks that the provider, the scope and the container share. Must not know any of the three.
"""

from __future__ import annotations

from inspect import isabstract
from typing import Any

from webedt.kernel.service import AService


def is_token(token: object) -> bool:
    """A token is a class that derives from `AService` and still has abstract methods.

    Concrete classes are refused: who looks one up depends on an implementation, and no fake can take its place.
    """
    return isinstance(token, type) and issubclass(token, AService) and isabstract(token)


def token_name(token: object) -> str:
    return token.__qualname__ if isinstance(token, type) else repr(token)


def require_token(token: Any) -> type[AService]:
    """`token` itself; raises `TypeError` if it is none."""
    if not is_token(token):
        raise TypeError(
            f"{token_name(token)} cannot be a token: a token is a class derived from AService with abstract methods"
        )
    checked: type[AService] = token
    return checked


def require_instance(token: Any, instance: object) -> None:
    """Raises `TypeError`, naming both, unless `instance` fulfils the contract `token`."""
    contract = require_token(token)
    if isinstance(instance, type):
        raise TypeError(f"{token_name(contract)} needs an instance, not the class {instance.__qualname__} itself")
    if not isinstance(instance, contract):
        raise TypeError(f"{type(instance).__qualname__} is not a {token_name(contract)}")
