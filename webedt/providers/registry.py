"""The providers of this deployment, started and stopped together."""

from collections.abc import Mapping, Sequence

from webedt.kernel import BaseService, ServiceStateError
from webedt.providers.breaker import STATES, CircuitBreaker
from webedt.providers.interface import AProviders, ExecutionProvider
from webedt.telemetry.metrics import Metrics


class Providers(BaseService, AProviders):
    def __init__(self, providers: Sequence[ExecutionProvider], default: str | None, metrics: Metrics) -> None:
        self._metrics = metrics
        self._providers = {provider.name: provider for provider in providers}
        self._default = default
        self._started = False

    async def initialize(self) -> None:
        self._started = True
        self.on_shutdown(self._stopped)
        for provider in self._providers.values():
            await provider.initialize()
            self.on_shutdown(provider.dispose)
        self._metrics.observe(self._observe)

    def _observe(self) -> None:
        for name, breaker in self.breakers.items():
            for state in STATES:
                self._metrics.upstream_breaker.set(breaker.state == state, name, state)

    def _stopped(self) -> None:
        self._started = False

    def add(self, provider: ExecutionProvider) -> None:
        if self._started:
            raise ServiceStateError(f"too late to add the provider {provider.name}: they have started")
        if provider.name in self._providers:
            raise ServiceStateError(f"there is a provider of the name {provider.name} already")
        self._providers[provider.name] = provider

    def get(self, name: str) -> ExecutionProvider | None:
        return self._providers.get(name)

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._providers)

    @property
    def breakers(self) -> Mapping[str, CircuitBreaker]:
        return {one.name: one.breaker for one in self._providers.values() if one.breaker is not None}

    @property
    def default(self) -> str | None:
        return self._default
