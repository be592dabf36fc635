"""What belongs to the user rather than to a session: the login, API keys, and who can answer prompts."""

from typing import Any
from urllib.parse import quote

from webedt.client.errors import ProtocolError
from webedt.client.transport import Transport


class Account:
    """The caller's account. Every method may raise what `WebEDTClient` does."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def current(self) -> dict[str, Any]:
        """`{"user", "session"}` as the wire contract shapes them. Raises Unauthenticated when the login has ended."""
        return (await self._transport.fetch("GET", "/api/auth/session")).body

    async def logout(self, *, everywhere: bool = False) -> None:
        """End this login, or all of the user's. The token is worth nothing afterwards."""
        await self._transport.fetch("POST", f"/api/auth/logout{'-all' if everywhere else ''}")

    async def providers(self) -> dict[str, Any]:
        """`{"providers", "default", "defaultModel"}`: who can answer the user's prompts, and why others cannot."""
        return (await self._transport.fetch("GET", "/api/providers")).body

    async def keys(self) -> list[dict[str, Any]]:
        """`{"provider", "configured", "updatedAt"}` of each provider that takes a key. Keys are never given out."""
        providers = (await self._transport.fetch("GET", "/api/user/credentials")).body.get("providers")
        if not isinstance(providers, list):
            raise ProtocolError("the list of API keys is missing from the answer")
        return providers

    async def store_key(self, provider: str, api_key: str) -> None:
        """Keep the user's own key for `provider`, in place of an earlier one."""
        await self._transport.fetch("PUT", _key_path(provider), body={"apiKey": api_key})

    async def remove_key(self, provider: str) -> None:
        """Forget it. Nothing happens if there was none."""
        await self._transport.fetch("DELETE", _key_path(provider))


def _key_path(provider: str) -> str:
    return f"/api/user/credentials/{quote(provider, safe='')}"
