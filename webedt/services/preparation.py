"""What a provider has to know before it begins: the conversation so far, and what an earlier attempt left open."""

import asyncio
from typing import Any, Literal

import msgspec

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Unavailable
from webedt.domain.events import MESSAGE, USER_MESSAGE
from webedt.domain.runs import Claim
from webedt.providers.interface import ExecutionProvider, RunRequest, Turn
from webedt.services.credentials import ACredentials
from webedt.services.driver import Preparation

TRY_AGAIN_SECONDS = 0.1


class Preparer:
    def __init__(self, database: ADatabase, credentials: ACredentials) -> None:
        self._database = database
        self._credentials = credentials
        self._sql = load_queries("events")

    async def prepare(self, claim: Claim, provider: ExecutionProvider) -> Preparation:
        """Waits for the database as long as it takes: the run is ours and has all the time it needs."""
        history = await self._history(claim) if provider.wants_history else []
        open_messages = await self._open_messages(claim) if claim.recovered and provider.resumable else {}
        request = RunRequest(
            run_id=claim.run_id,
            session_id=claim.session_id,
            user_id=claim.user_id,
            attempt=claim.attempt,
            model=claim.model,
            prompt=claim.prompt,
            history=history,
            state=_state_of(provider, claim.provider_state),
            api_key=await self._credentials.key_for(claim.user_id, provider),
            repository_url=claim.repository_url,
            branch=claim.branch,
        )
        return Preparation(request, open_messages)

    async def _history(self, claim: Claim) -> list[Turn]:
        turns: list[Turn] = []
        for row in await self._read(self._sql["read_conversation"], claim.session_id, claim.prompt_seq):
            if row["type"] in (USER_MESSAGE, MESSAGE):
                role: Literal["user", "assistant"] = "user" if row["type"] == USER_MESSAGE else "assistant"
                turns.append(Turn(role, msgspec.json.decode(row["data"])["content"]))
        return turns

    async def _open_messages(self, claim: Claim) -> dict[str, int]:
        rows = await self._read(self._sql["find_open_messages"], claim.session_id, claim.run_id, claim.prompt_seq)
        return {row["message_id"]: row["first_seq"] for row in rows}

    async def _read(self, query: str, *args: Any) -> Any:
        while True:
            try:
                return await self._database.fetch(query, *args)
            except Unavailable:
                await self._database.wait_until_ready()
                await asyncio.sleep(TRY_AGAIN_SECONDS)


def _state_of(provider: ExecutionProvider, state: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the session keeps belongs to the provider that left it there."""
    return state if state is not None and state.get("provider") == provider.name else None
