"""The providers of this deployment, started and stopped together."""

from collections.abc import Sequence

from webedt.kernel import BaseService
from webedt.providers.interface import AProviders, ExecutionProvider


class Providers(BaseService, AProviders):
    def __init__(self, providers: Sequence[ExecutionProvider], default: str | None) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._default = default

    async def initialize(self) -> None:
        for provider in self._providers.values():
            await provider.initialize()
            self.on_shutdown(provider.dispose)

    def get(self, name: str) -> ExecutionProvider | None:
        return self._providers.get(name)

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._providers)

    @property
    def default(self) -> str | None:
        return self._default
