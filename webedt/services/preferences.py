"""What a user wants when a prompt does not say: a default provider, and a default model that goes with it."""

from abc import abstractmethod
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import FieldError, InvalidRequest
from webedt.kernel import AService, BaseService
from webedt.providers.interface import AProviders
from webedt.services.provider_choice import require_known


class Preferences(msgspec.Struct, frozen=True, rename="camel"):
    default_provider: str | None
    default_model: str | None


class APreferences(AService):
    order: ClassVar[int] = 67

    @abstractmethod
    async def read(self, user_id: UUID) -> Preferences: ...

    @abstractmethod
    async def update(
        self, user_id: UUID, *, provider: str | UnsetType | None, model: str | UnsetType | None
    ) -> Preferences:
        """Change what is given; None clears. Another provider takes the model of the one before away with it.

        A provider that the user cannot use yet may be chosen: its key may come later, and prompts say what is missing.
        Raises `InvalidRequest` for an unknown provider, and for a model that would stand without a provider.
        """


class StoredPreferences(BaseService, APreferences):
    def __init__(self) -> None:
        self._sql = load_queries("preferences")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._providers = self.services.get(AProviders)

    async def read(self, user_id: UUID) -> Preferences:
        return _preferences(await self._database.fetchrow(self._sql["read_preferences"], user_id))

    async def update(
        self, user_id: UUID, *, provider: str | UnsetType | None, model: str | UnsetType | None
    ) -> Preferences:
        if isinstance(provider, str):
            require_known(self._providers, provider, "$.defaultProvider")
        row = await self._database.fetchrow(
            self._sql["update_preferences"],
            user_id,
            provider is not UNSET,
            None if provider is UNSET else provider,
            model is not UNSET,
            None if model is UNSET else model,
        )
        if row is None:
            text = "needs a defaultProvider to go with"
            raise InvalidRequest(f"defaultModel {text}.", errors=[FieldError("$.defaultModel", text)])
        return _preferences(row)


def _preferences(row: Any) -> Preferences:
    return Preferences(row["default_provider"], row["default_model"])
