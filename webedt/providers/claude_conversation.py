"""Following one turn of a managed agent session over as many connections as it takes.

Invariant: at each connection the stream is opened first and the log listed after it, so that between them nothing is
missed; what comes twice the turn drops. The prompt is sent at most once: after a sending whose answer was lost, the
prompts in the remote log are counted before it is sent again.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from webedt.config import Settings
from webedt.providers.claude_client import ClaudeConnection, Event, Unsure
from webedt.providers.claude_turn import AGENT_TOOLS, Turn, gone
from webedt.providers.interface import Item, ProviderError

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
# How long a person is let wait for an upstream that is away from the beginning.
BEGIN_SECONDS = 30.0
BATCH = 50
STALLS = 2
DECLINED = "Nobody is there to answer: this session runs unattended. Go on without it."


class Conversation:
    def __init__(self, remote: ClaudeConnection, session_id: str, turn: Turn, settings: Settings) -> None:
        self._remote = remote
        self._session_id = session_id
        self._turn = turn
        self._silence = settings.provider_silence_seconds
        self._patience = min(BEGIN_SECONDS, settings.provider_first_token_seconds)
        self._patience_later = settings.provider_idle_seconds
        self._confirm_tools = settings.claude_confirm_tools
        self._clock = asyncio.get_running_loop().time
        self._well_at = self._clock()
        self._pause = FIRST_PAUSE_SECONDS
        self._stalls = 0

    async def follow(
        self, prompt: Sequence[Event], prompts_before: int, prompted: bool | None
    ) -> AsyncGenerator[Sequence[Item]]:
        """What readers are to see, in batches, until the turn has ended. `prompted`: was the prompt sent, if known?

        Raises `ProviderError` for what waiting does not mend, or did not for `PROVIDER_IDLE_SECONDS`. An agent that is
        silent but at work is waited for as long as it works.
        """
        while self._turn.ended is None:
            try:
                async with self._remote.stream(self._session_id) as events:
                    self._turn.reconnected()
                    if prompted is None:
                        prompted = await self._remote.count_prompts(self._session_id) > prompts_before
                    if prompted:
                        async with aclosing(self._listed()) as batches:
                            async for items in batches:
                                yield items
                    else:
                        prompted = None  # until the answer is here
                        await self._prompt(prompt)
                        prompted = True
                    self._well_at, self._patience = self._clock(), self._patience_later
                    async with aclosing(self._streamed(events)) as batches:
                        async for items in batches:
                            yield items
            except (ProviderError, Unsure) as fault:
                error = fault.error if isinstance(fault, Unsure) else fault
                if not passes(error) or self._clock() - self._well_at > self._patience:
                    raise error from fault
            if self._turn.ended is None:
                await asyncio.sleep(self._pause * _jitter())
                self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    async def _prompt(self, prompt: Sequence[Event]) -> None:
        try:
            await self._remote.send(self._session_id, [{"type": "user.message", "content": list(prompt)}])
        except ProviderError as error:
            # A session that has ended meanwhile is still there, and refuses whatever it is sent.
            if error.code == "provider_refused" and await self._remote.status(self._session_id) == "gone":
                raise gone() from error
            raise

    async def _listed(self) -> AsyncGenerator[Sequence[Item]]:
        items: list[Item] = []
        listing = self._remote.log(self._session_id, created_at_gt=self._turn.position.after)
        async with aclosing(listing) as events:
            async for event in events:
                items += self._turn.take(event)
                if len(items) >= BATCH:
                    yield items
                    items = []
        if items:
            yield items

    async def _streamed(self, events: AsyncGenerator[list[Event]]) -> AsyncGenerator[Sequence[Item]]:
        while self._turn.ended is None:
            if self._turn.blocked_on:
                await self._decide(self._turn.blocked_on)
                self._turn.blocked_on = ()
            try:
                async with asyncio.timeout(self._silence):
                    batch = await anext(events, None)
            except TimeoutError:
                await self._look_why_silent()
                return
            if batch is None:
                return
            self._well_at, self._pause, self._stalls = self._clock(), FIRST_PAUSE_SECONDS, 0
            if items := [item for event in batch for item in self._turn.take(event)]:
                yield items

    async def _look_why_silent(self) -> None:
        """The connection may be dead, the agent at work, or the end of its turn lost on the way: the list will tell."""
        status = await self._remote.status(self._session_id)
        if status == "gone":
            raise gone()
        self._stalls = self._stalls + 1 if status == "idle" else 0
        if self._stalls > STALLS:
            text = "The agent stopped without saying so; try again."
            raise ProviderError("remote_session_stalled", text, retryable=True)

    async def _decide(self, blocked_on: Sequence[str]) -> None:
        """The agent waits for a person where there is none: answer for them, so that the turn comes to an end."""
        answers: list[Event] = []
        async with aclosing(self._remote.log(self._session_id, types=list(AGENT_TOOLS))) as events:
            answers = [self._answer(event) async for event in events if event["id"] in blocked_on]
        for answer in answers:
            try:
                await self._remote.send(self._session_id, [answer])
            except ProviderError as error:
                if error.code != "provider_refused":
                    raise
                # Answered before, by whoever drove this run then.

    def _answer(self, tool_use: Event) -> Event:
        refusal: dict[str, Any] = {"content": [{"type": "text", "text": DECLINED}], "is_error": True}
        if tool_use["type"] == "agent.custom_tool_use":
            return {"type": "user.custom_tool_result", "custom_tool_use_id": tool_use["id"], **refusal}
        if tool_use.get("evaluated_permission") == "allow":
            # Allowed, and yet it waits: the tools of this environment are to be run by its owner.
            return {"type": "user.tool_result", "tool_use_id": tool_use["id"], **refusal}
        decision = {"result": "allow"} if self._confirm_tools else {"result": "deny", "deny_message": DECLINED}
        return {"type": "user.tool_confirmation", "tool_use_id": tool_use["id"], **decision}


async def patiently(
    seconds: float, call: Callable[[], Awaitable[T]], look: Callable[[], Awaitable[T | None]] | None = None
) -> T:
    """Repeat a call while it fails for reasons that pass. After a lost answer `look` tells whether it was carried out.

    Raises the last `ProviderError`.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    pause, unsure = FIRST_PAUSE_SECONDS, False
    while True:
        try:
            if unsure and look is not None and (found := await look()) is not None:
                return found
            return await call()
        except (ProviderError, Unsure) as fault:
            error = fault.error if isinstance(fault, Unsure) else fault
            unsure = unsure or isinstance(fault, Unsure)
            if not passes(error) or clock() + pause > deadline:
                raise error from fault
        await asyncio.sleep(pause * _jitter())
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def passes(error: ProviderError) -> bool:
    """Whether asking again by itself may help."""
    return error.retryable and error.state is None and error.code != "remote_session_stalled"


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
