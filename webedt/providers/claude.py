"""Managed agent sessions of Anthropic: agents with a computer of their own, which outlive us.

Resumable. What makes it exact:
- One remote session for all prompts of a session; it is in the database (`state`) before the first prompt is sent.
- A prompt is sent only into an idle remote session, so that all that follows in its log answers this prompt. How many
  prompts were there before is in `state`, in the database before this one is sent: a successor, or we ourselves after
  an answer that never came, count them, and send it only if it is not there.
- At each connection: open the stream, then list what came before, then drop what came twice (`claude_turn`).

`state`: `session` (remote id), `turn`, `run` (whose turn it is), `prompts` (there before this turn), `position` and
`cost` (before this turn). `turn` is `open` from before the prompt is sent; `closed` when the end was seen, and then
`position` is behind it; `settled` when only that nothing runs any more is known (the leader's sync saw to it).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from webedt.config import Settings
from webedt.domain.prompts import title_of
from webedt.domain.secrets import Secret
from webedt.kernel import BaseService
from webedt.providers.breaker import CircuitBreaker
from webedt.providers.claude_client import RUN, AClaudeWebClient, ClaudeConnection, Event, Unsure
from webedt.providers.claude_conversation import BEGIN_SECONDS, Conversation, patiently
from webedt.providers.claude_turn import RECENT_IDS, Ended, Position, Turn, gone
from webedt.providers.interface import Completed, ProviderError, RemoteProvider, RemoteStatus, RunRequest, Step

SETTLE_SECONDS = 30.0
LOOK_SECONDS = 0.5
INTERRUPT: Event = {"type": "user.interrupt"}


class ClaudeProvider(BaseService, RemoteProvider):
    name = "claude"
    resumable = True
    takes_keys = True
    keeps_model = True

    def __init__(self, settings: Settings, web: AClaudeWebClient) -> None:
        self._settings = settings
        self._web = web

    @property
    def unavailable_reason(self) -> str | None:
        if self._settings.claude_agent_id and self._settings.claude_environment_id:
            return None
        return "The claude provider needs CLAUDE_AGENT_ID and CLAUDE_ENVIRONMENT_ID."

    @property
    def key_needed(self) -> str | None:
        return "The claude provider needs an API key: yours, or ANTHROPIC_API_KEY of the deployment."

    @property
    def deployment_key(self) -> Secret | None:
        settings = self._settings
        return Secret(settings.anthropic_api_key) if settings.anthropic_api_key and settings.deployment_keys else None

    @property
    def breaker(self) -> CircuitBreaker:
        return self._web.breaker

    def default_model(self) -> str | None:
        return None  # the agent's own

    # A run -----------------------------------------------------------------------------------------------------------

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        async with self._web.connect(self._require(request.api_key), request.still_ours) as remote:
            state = request.state or {}
            prompted: bool | None = None  # nobody knows
            if state.get("run") != str(request.run_id):
                state, prompted = await self._begin(remote, request, state), False
                yield Step((), state=state, durable=True)
            elif checkpoint is not None:
                prompted = True
            position = msgspec.convert(state.get("position") or {}, Position)
            turn = Turn(position, checkpoint, state.get("cost", 0))
            conversation = Conversation(remote, state["session"], turn, self._settings)
            kept = checkpoint
            async with aclosing(conversation.follow(request.prompt, state["prompts"], prompted)) as batches:
                async for items in batches:
                    changed = kept is not turn.checkpoint
                    kept = turn.checkpoint
                    # What it cost is in the session's own state too: whoever comes after an interrupt must not say
                    # it again.
                    dearer = {**state, "cost": turn.cost_cents} if turn.cost_cents != state.get("cost", 0) else None
                    state = dearer or state
                    yield Step(items, checkpoint=kept if changed else None, state=dearer)
            if turn.ended is None:
                raise AssertionError("a conversation ends with its turn")
            yield self._end(state, turn, turn.ended)

    async def _begin(self, remote: ClaudeConnection, request: RunRequest, state: dict[str, Any]) -> dict[str, Any]:
        """The state with which the prompt may be sent: the remote session is there, idle, and its log is known."""
        begun = {"turn": "open", "run": str(request.run_id), "cost": state.get("cost", 0)}
        session_id = state.get("session")
        if session_id is None:
            return {**begun, "session": await self._session_for(remote, request), "prompts": 0, "position": {}}
        if state.get("turn") == "closed" and await patiently(self._patience, lambda: _is_untouched(remote, state)):
            return {**begun, "session": session_id, "prompts": state["prompts"], "position": state["position"]}
        await self._settle(remote, session_id)
        prompts = await patiently(self._patience, lambda: remote.count_prompts(session_id))
        position = await patiently(self._patience, lambda: _newest(remote, session_id))
        return {**begun, "session": session_id, "prompts": prompts, "position": msgspec.to_builtins(position)}

    async def _session_for(self, remote: ClaudeConnection, request: RunRequest) -> str:
        """The remote session made for this run; made twice it never is, though an answer be lost or we be."""
        agent, run_id = self._settings.claude_agent_id, str(request.run_id)

        async def find() -> str | None:
            return await remote.find(agent, run_id)

        if request.attempt > 1 and (found := await patiently(self._patience, find)) is not None:
            return found
        fields: dict[str, Any] = {
            "agent": agent,
            "environment_id": self._settings.claude_environment_id,
            "title": title_of(request.prompt),
            "metadata": {RUN: run_id, "webedt_session": str(request.session_id)},
        }
        if request.model is not None:
            fields["agent"] = {"type": "agent_with_overrides", "id": agent, "model": request.model}
        if request.repository_url is not None:
            checkout = {"checkout": {"type": "branch", "name": request.branch}} if request.branch else {}
            fields["resources"] = [{"type": "github_repository", "url": request.repository_url, **checkout}]
        return await patiently(self._patience, lambda: remote.create(**fields), find)

    async def _settle(self, remote: ClaudeConnection, session_id: str) -> None:
        """An earlier run was left in the middle: make the agent stop, so that what follows answers this prompt.

        An agent that waits for a person is idle by its status, and yet takes no prompt; an interrupt ends that too.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                asked = False
                while not await patiently(self._patience, lambda: remote.is_resting(session_id)):
                    if await patiently(self._patience, lambda: remote.status(session_id)) == "gone":
                        raise gone()
                    if not asked:
                        await patiently(self._patience, lambda: remote.send(session_id, [INTERRUPT]))
                        asked = True
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            text = "The agent is still busy with an earlier prompt and does not stop; try again later."
            raise ProviderError("remote_session_busy", text, retryable=True) from None

    def _end(self, state: dict[str, Any], turn: Turn, ended: Ended) -> Step:
        closed: dict[str, Any] = {} if ended.terminated else {
            "session": state["session"],
            "turn": "closed",
            "prompts": state["prompts"] + 1,
            "position": turn.behind,
            "cost": turn.cost_cents,
        }  # fmt: skip
        if ended.failure is not None:
            failure = ended.failure
            raise ProviderError(failure.code, failure.message, retryable=failure.retryable, state=closed)
        return Step([Completed(ended.stop_reason or "end_turn")], checkpoint=turn.checkpoint, state=closed)

    # What others ask of it -------------------------------------------------------------------------------------------

    async def look(self, state: dict[str, Any], api_key: Secret | None) -> RemoteStatus:
        if "session" not in state:
            return "gone"  # and known to be: a run said so
        async with self._web.connect(self._require(api_key)) as remote:
            return await remote.status(state["session"])

    async def interrupt(self, state: dict[str, Any], api_key: Secret | None) -> None:
        if "session" not in state:
            return
        async with self._web.connect(self._require(api_key)) as remote:
            try:
                await remote.send(state["session"], [INTERRUPT])
            except Unsure as unsure:
                raise unsure.error from unsure

    async def archive(self, state: dict[str, Any], api_key: Secret | None) -> None:
        if "session" not in state:
            return
        async with self._web.connect(self._require(api_key)) as remote:
            await remote.archive(state["session"])

    def _require(self, api_key: Secret | None) -> Secret:
        if api_key is None:
            raise ProviderError("provider_not_configured", self.key_needed or "", retryable=False)
        return api_key

    @property
    def _patience(self) -> float:
        return min(BEGIN_SECONDS, self._settings.provider_first_token_seconds)


async def _is_untouched(remote: ClaudeConnection, state: dict[str, Any]) -> bool:
    """Whether nothing has happened in the remote session since the turn that was closed.

    What may have: a prompt sent by a replica that had lost the run, and long on its way; or somebody else's, for others
    may have the key too. Its answer would be taken for that of our prompt, and ours for that of the next.
    """
    position = msgspec.convert(state["position"], Position)
    known = {event_id for event_id, _at in position.ids}
    async with aclosing(remote.log(state["session"], created_at_gt=position.after)) as events:
        return all([event.get("id") in known async for event in events])


async def _newest(remote: ClaudeConnection, session_id: str) -> Position:
    """The position behind all that is in the remote log now."""
    newest: list[tuple[str, str]] = []
    async with aclosing(remote.log(session_id, order="desc", limit=2 * RECENT_IDS)) as events:
        async for event in events:
            if event.get("processed_at") is not None:
                newest.append((event["id"], event["processed_at"]))
            if len(newest) >= 2 * RECENT_IDS and newest[-1][1] != newest[0][1]:
                break
    return Position().including(newest[::-1])
