"""API keys that users store for themselves: encrypted at rest, used for their own runs, never shown again."""

import asyncio
import re
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import FieldError, InvalidRequest, NotFound, Unavailable
from webedt.domain.secrets import Secret
from webedt.kernel import AService, BaseService
from webedt.providers.interface import AProviders, ExecutionProvider, ProviderError
from webedt.services.sealing import CannotOpen, Sealer

TRY_AGAIN_SECONDS = 0.1
MAX_KEY_LENGTH = 500
_API_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_LENGTH}}}")


class CredentialView(msgspec.Struct, frozen=True, rename="camel"):
    """What may be known of a stored key: that it is there, and since when."""

    provider: str
    configured: bool
    updated_at: datetime | None


class ACredentials(AService):
    order: ClassVar[int] = 65

    @abstractmethod
    async def store(self, user_id: UUID, provider: str, api_key: Secret) -> None:
        """Keep or replace the user's key. Raises `NotFound` for a provider that takes none, `InvalidRequest`."""

    @abstractmethod
    async def remove(self, user_id: UUID, provider: str) -> None:
        """Forget the user's key. No error if there is none. Raises `NotFound` for a provider that takes none."""

    @abstractmethod
    async def list(self, user_id: UUID) -> Sequence[CredentialView]:
        """Every provider that takes keys, in a fixed order."""

    @abstractmethod
    async def key_for(self, user_id: UUID, provider: ExecutionProvider) -> Secret | None:
        """The key of this user's requests to the provider: the user's own, else the deployment's, else None.

        Waits for the database. Raises `ProviderError` when the user's key is there but cannot be read any more.
        """


class Credentials(BaseService, ACredentials):
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._sql = load_queries("credentials")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._providers = self.services.get(AProviders)

    async def store(self, user_id: UUID, provider: str, api_key: Secret) -> None:
        self._require(provider)
        if not _API_KEY.fullmatch(api_key.reveal()):
            text = f"1 to {MAX_KEY_LENGTH} printable ASCII characters without spaces"
            raise InvalidRequest(f"apiKey must have {text}.", errors=[FieldError("$.apiKey", f"must have {text}")])
        sealed = self._sealer.seal(api_key.reveal(), belongs_to(user_id, provider))
        await self._database.fetchrow(self._sql["store_credential"], user_id, provider, self._sealer.key_id, sealed)
        self.log.info("credential_stored", user_id=str(user_id), provider=provider)

    async def remove(self, user_id: UUID, provider: str) -> None:
        self._require(provider)
        await self._database.fetchrow(self._sql["delete_credential"], user_id, provider)
        self.log.info("credential_removed", user_id=str(user_id), provider=provider)

    async def list(self, user_id: UUID) -> Sequence[CredentialView]:
        rows = await self._database.fetch(self._sql["list_credentials"], user_id)
        stored = {row["provider"]: row["updated_at"] for row in rows}
        return [CredentialView(name, name in stored, stored.get(name)) for name in self._takers]

    async def key_for(self, user_id: UUID, provider: ExecutionProvider) -> Secret | None:
        row = await self._read(user_id, provider.name) if provider.takes_keys else None
        if row is None:
            return provider.deployment_key
        try:
            text = self._sealer.open(row["sealed"], row["key_id"], belongs_to(user_id, provider.name))
        except CannotOpen:
            self.log.error("credential_unreadable", user_id=str(user_id), provider=provider.name)
            raise ProviderError("credential_unreadable", unreadable_key(provider.name), retryable=False) from None
        return Secret(text)

    async def _read(self, user_id: UUID, provider: str) -> Any:
        while True:
            try:
                return await self._database.fetchrow(self._sql["read_credential"], user_id, provider)
            except Unavailable:
                await self._database.wait_until_ready()
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    def _require(self, provider: str) -> None:
        if provider not in self._takers:
            known = ", ".join(self._takers)
            raise NotFound(f"There is no provider of this name that takes a key; known are: {known}.")

    @property
    def _takers(self) -> Sequence[str]:
        providers = (self._providers.get(name) for name in self._providers.names)
        return [provider.name for provider in providers if provider is not None and provider.takes_keys]


def belongs_to(user_id: UUID, provider: str) -> str:
    """What a key is sealed for: in another row it does not open."""
    return f"{user_id}/{provider}"


def unreadable_key(provider: str) -> str:
    """For a person whose stored key no longer opens."""
    return f"Your stored key for {provider} can no longer be read; store it again, or remove it."
