"""One registered service and what it is doing.

Owns the record that a provider keeps of an instance, and the read-only view of it for logs. Must not know the order
in which services start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from webedt.kernel.service import AService
from webedt.kernel.tokens import token_name


class Phase(StrEnum):
    """What a service is doing; the one that hangs is the one in `INITIALIZING` or `DISPOSING`."""

    REGISTERED = "registered"
    INITIALIZING = "initializing"
    READY = "ready"
    DISPOSING = "disposing"


@dataclass(frozen=True, slots=True)
class Registration:
    """A snapshot for logs and health reports."""

    tokens: tuple[str, ...]
    service: str
    order: int
    phase: Phase


@dataclass(eq=False, slots=True)
class Entry:
    """One instance under one or more tokens; initialised once and disposed of once however many they are."""

    service: AService
    tokens: list[type[AService]] = field(default_factory=list)
    phase: Phase = Phase.REGISTERED

    @property
    def name(self) -> str:
        return type(self.service).__qualname__

    async def initialize(self) -> None:
        self.phase = Phase.INITIALIZING
        await self.service.initialize()
        self.phase = Phase.READY

    async def dispose(self) -> None:
        self.phase = Phase.DISPOSING
        try:
            await self.service.dispose()
        finally:
            self.phase = Phase.REGISTERED

    def snapshot(self) -> Registration:
        return Registration(tuple(map(token_name, self.tokens)), self.name, self.service.order, self.phase)
