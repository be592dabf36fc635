"""Who answers a prompt, with which model, and why somebody cannot: the one judgement, for one user at one moment.

The nearest word counts: the request's, then the session's own, then the user's default, then the deployment's. Where
the deployment has no default, or one that this user cannot use, the first provider stands in for which the user has a
key of their own: who stored a key means to use it. Nobody else ever stands in, above all not the simulated provider.

A model goes with a provider: a session's or a user's is used only with the provider that it was named for.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import FieldError, InvalidRequest
from webedt.kernel import AService, BaseService
from webedt.providers.interface import AProviders, ExecutionProvider
from webedt.services.credentials import belongs_to, unreadable_key
from webedt.services.sealing import Sealer

NO_PROVIDER = (
    "No provider is configured for prompts that name none: name one, store an API key of your own, or set "
    "DEFAULT_PROVIDER."
)


class ProviderView(msgspec.Struct, frozen=True, rename="camel"):
    """A provider as one user may use it. `reason`: why not, and what to do. `default_model`: if a prompt names none."""

    name: str
    configured: bool
    reason: str | None
    resumable: bool
    takes_keys: bool
    own_key: bool
    default: bool
    default_model: str | None


class Choice(NamedTuple):
    provider: str
    model: str | None


def reason_against(provider: ExecutionProvider, *, own_key: bool) -> str | None:
    """Why prompts of somebody with or without a key of their own cannot go to `provider`; None when they can."""
    if provider.unavailable_reason is not None:
        return provider.unavailable_reason
    if own_key or provider.deployment_key is not None:
        return None
    return provider.key_needed


def require_known(providers: AProviders, name: str, path: str) -> ExecutionProvider:
    """The provider of this name. Raises `InvalidRequest` that lists the known ones; `path` is where it was named."""
    provider = providers.get(name)
    if provider is None:
        known = ", ".join(providers.names)
        errors = [FieldError(path, f"must be one of {known}")]
        raise InvalidRequest(f"There is no such provider; known are: {known}.", errors=errors)
    return provider


@dataclass(frozen=True)
class Options:
    """What one user can choose from. Pure: asks nobody, so it may be used inside a transaction.

    `preferred`: the user's default. `own_keys`: whether each stored key can be read, by provider.
    """

    providers: AProviders
    preferred: Choice | None
    own_keys: Mapping[str, bool]

    def choose(self, provider: str | None, model: str | None, session: Choice | None = None) -> Choice:
        """Who answers a prompt that names `provider` and `model`, or does not. `session`: whose turn it was before.

        Raises `InvalidRequest`: nobody, an unknown one, or one that cannot be used, with its reason. A stored key that
        cannot be read is no reason here: the run says so, as it does when this happens after the prompt was accepted.
        """
        name = provider or (session.provider if session is not None else self.default)
        if name is None:
            raise InvalidRequest(NO_PROVIDER, errors=[FieldError("$.provider", "names nobody, and nobody stands in")])
        service = self.require(name)
        stays = session is not None and session.provider == name and service.keeps_model
        if stays and session is not None and model not in (None, session.model):
            reason = "This session keeps the model that it began with; another needs a new session."
            raise InvalidRequest(reason, errors=[FieldError("$.model", reason)])
        chosen = model or self._usual_model(service, session)
        if chosen is None and service.model_needed is not None:
            raise InvalidRequest(service.model_needed, errors=[FieldError("$.model", service.model_needed)])
        return Choice(name, chosen)

    def require(self, name: str) -> ExecutionProvider:
        """The provider, if this user can use it. Raises `InvalidRequest` as `choose`."""
        provider = require_known(self.providers, name, "$.provider")
        reason = reason_against(provider, own_key=self._has_key(provider))
        if reason is not None:
            raise InvalidRequest(reason, errors=[FieldError("$.provider", reason)])
        return provider

    @property
    def default(self) -> str | None:
        """Who answers a new session's prompt that names nobody; one that cannot be used if nothing better stands in."""
        if self.preferred is not None:
            return self.preferred.provider
        common = self.providers.default
        usable = [provider for provider in self._all() if self._reason(provider) is None]
        if any(provider.name == common for provider in usable):
            return common
        return next((provider.name for provider in usable if self._has_key(provider)), common)

    @property
    def default_model(self) -> str | None:
        """The model of a new session's prompt that names neither."""
        service = None if self.default is None else self.providers.get(self.default)
        return None if service is None else self._usual_model(service, None)

    def views(self) -> list[ProviderView]:
        """Every provider of the deployment; nothing outside is asked."""
        return [self._view(provider) for provider in self._all()]

    def _view(self, provider: ExecutionProvider) -> ProviderView:
        reason = self._reason(provider)
        return ProviderView(
            name=provider.name,
            configured=reason is None,
            reason=reason,
            resumable=provider.resumable,
            takes_keys=provider.takes_keys,
            own_key=self._has_key(provider),
            default=provider.name == self.default,
            default_model=self._usual_model(provider, None),
        )

    def _reason(self, provider: ExecutionProvider) -> str | None:
        """As `reason_against`, and the stored key has to be readable."""
        reason = reason_against(provider, own_key=self._has_key(provider))
        if reason is None and self._has_key(provider) and not self.own_keys[provider.name]:
            return unreadable_key(provider.name)
        return reason

    def _has_key(self, provider: ExecutionProvider) -> bool:
        """What was stored for a provider that takes keys no more is not used."""
        return provider.takes_keys and provider.name in self.own_keys

    def _usual_model(self, provider: ExecutionProvider, session: Choice | None) -> str | None:
        for choice in (session, self.preferred):
            if choice is not None and choice.provider == provider.name and choice.model is not None:
                return choice.model
        return provider.default_model()

    def _all(self) -> Sequence[ExecutionProvider]:
        return [provider for name in self.providers.names if (provider := self.providers.get(name)) is not None]


class AProviderChoice(AService):
    order: ClassVar[int] = 66

    @abstractmethod
    async def options(self, user_id: UUID) -> Options:
        """What the user can choose from now, in one question to the database and none to a provider."""


class ProviderChoice(BaseService, AProviderChoice):
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._sql = load_queries("preferences")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._providers = self.services.get(AProviders)

    async def options(self, user_id: UUID) -> Options:
        rows = await self._database.fetch(self._sql["read_provider_choice"], user_id)
        own_keys = {row["provider"]: self._opens(user_id, row) for row in rows if row["provider"] is not None}
        # The user is there, or nobody would ask; unless the account went a moment ago.
        name, model = (rows[0]["default_provider"], rows[0]["default_model"]) if rows else (None, None)
        return Options(self._providers, None if name is None else Choice(name, model), own_keys)

    def _opens(self, user_id: UUID, row: Any) -> bool:
        return self._sealer.opens(row["sealed"], row["key_id"], belongs_to(user_id, row["provider"]))
