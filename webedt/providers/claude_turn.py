"""One turn of a managed agent session: what the remote events of it mean to readers of ours. Pure: no I/O, no clock.

Invariant: every event of the remote log is taken once. The remote stream has no cursor and starts anew at each
connection, and the remote list may overlap it; so an event is told by its id, and the position keeps the ids of the
newest ones, with the time that bounds a list from below. Position and items of a step are committed together.

Previews (`event_start`, `event_delta`) are best effort and never listed: a message of which deltas were shown gets no
more of them after a reconnection, since some would be missing; the whole message supersedes them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from webedt.providers.interface import Item, MessageDone, ProviderError, TextDelta, ToolResult, ToolUse, Usage

RECENT_IDS = 8
AGENT_TOOLS = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")

# What is said of an error in the remote session: code, words. The upstream's own words may quote what they please.
_ERRORS: dict[str, tuple[str, str]] = {
    "model_overloaded_error": ("provider_overloaded", "The model is overloaded; try again later."),
    "model_rate_limited_error": ("provider_rate_limited", "The rate limit of the model is reached; try again later."),
    "model_request_failed_error": ("provider_unavailable", "The model did not answer; try again later."),
    "billing_error": ("provider_billing", "Anthropic wants to be paid first: check the plan of the API key."),
    "mcp_connection_failed_error": ("provider_tool_failed", "A tool server of the agent cannot be reached."),
    "mcp_authentication_failed_error": ("provider_tool_failed", "A tool server of the agent refuses its credentials."),
    "tool_use_limit_reached_error": ("provider_limit_reached", "The agent used as many tools as it may."),
    "compaction_limit_reached_error": ("provider_limit_reached", "The conversation is too long for the agent."),
    "repository_authentication_error": ("provider_repository", "The repository refuses the agent's credentials."),
    "repository_forbidden_error": ("provider_repository", "The agent may not read the repository."),
    "repository_not_found_error": ("provider_repository", "The agent cannot find the repository."),
    "repository_checkout_error": ("provider_repository", "The agent cannot check out the branch."),
    "repository_clone_error": ("provider_repository", "The agent cannot clone the repository."),
}
_UNKNOWN_ERROR = ("provider_failed", "The agent failed.")


class Position(msgspec.Struct, frozen=True):
    """How far the remote log has been taken: `after` bounds a list from below, `ids` are the newest taken."""

    after: str | None = None
    ids: Sequence[tuple[str, str]] = ()

    def including(self, taken: Sequence[tuple[str, str]]) -> "Position":
        """With (id, time) pairs that were taken since. What no longer fits moves the lower bound.

        What is as new as the newest always fits, for of that time there may be more to come.
        """
        ids = [*self.ids, *taken]
        newest = max((at for _id, at in ids), key=datetime.fromisoformat, default=None)
        old = ids[:-RECENT_IDS]
        dropped = [at for _id, at in old if at != newest]
        kept = [one for one in old if one[1] == newest] + ids[-RECENT_IDS:]
        times = dropped + ([self.after] if self.after else [])
        return Position(max(times, key=datetime.fromisoformat, default=None), kept)


class Ended(msgspec.Struct, frozen=True):
    """The turn is over: completed for `stop_reason`, or failed. `terminated`: the remote session is, too."""

    stop_reason: str | None = None
    failure: ProviderError | None = None
    terminated: bool = False


class Turn:
    """Takes remote events, as JSON values; `items` are what readers are to see of them.

    `position`, and all else that a successor needs, is in `checkpoint`. `blocked_on`: ids of tool uses that wait for an
    answer of ours. `cost_cents`: the remote session's cumulative cost.
    """

    def __init__(self, position: Position, checkpoint: dict[str, Any] | None, cost_cents: int) -> None:
        kept = checkpoint or {}
        self.position = msgspec.convert(kept["position"], Position) if "position" in kept else position
        self.cost_cents: int = kept.get("cost", cost_cents)
        self._error: str | None = kept.get("error")
        self._shown: str | None = kept.get("shown")
        self._seen = {event_id for event_id, _at in self.position.ids}
        self._taken: list[tuple[str, str]] = []
        self._end: list[tuple[str, str]] = []
        self._preview: str | None = None
        self._begun = checkpoint is not None
        self.blocked_on: tuple[str, ...] = tuple(kept.get("blocked", ()))
        self._checkpoint: dict[str, Any] | None = None
        self._kept: tuple[Any, ...] = ()
        self.ended: Ended | None = None

    @property
    def checkpoint(self) -> dict[str, Any]:
        """The same object as before if nothing changed. Never behind the end: a successor is to find that again."""
        now = (self.cost_cents, self._error, self._shown, self.blocked_on)
        if self._checkpoint is None or self._taken or now != self._kept:
            self.position, self._taken = self.position.including(self._taken), []
            cost, error, shown, blocked = self._kept = now
            kept = {"cost": cost, "error": error, "shown": shown, "blocked": list(blocked)}
            self._checkpoint = {key: value for key, value in kept.items() if value}
            self._checkpoint["position"] = msgspec.to_builtins(self.position)
        return self._checkpoint

    @property
    def behind(self) -> dict[str, Any]:
        """The position behind the turn and its end, where the next one begins."""
        behind: dict[str, Any] = msgspec.to_builtins(self.position.including(self._taken + self._end))
        return behind

    def reconnected(self) -> None:
        """Deltas that come now may begin in the middle of a message."""
        self._preview = None

    def take(self, event: dict[str, Any]) -> Sequence[Item]:
        """Take one event, from the stream or from a list, in the order in which they come. Twice is once."""
        kind: str = event.get("type", "")
        if kind == "event_start":
            self._open_preview(event.get("event") or {})
            return ()
        if kind == "event_delta":
            return self._delta(event)
        event_id, at = event.get("id"), event.get("processed_at")
        # What we sent is there before it is processed, and again when it was: only then it has its place in the log.
        if not event_id or at is None or event_id in self._seen or self.ended is not None:
            return ()
        self._seen.add(event_id)
        items = self._meaning(kind, event_id, event)
        self._place(event_id, at)
        return items

    def _place(self, event_id: str, at: str) -> None:
        (self._taken if self.ended is None else self._end).append((event_id, at))

    def _open_preview(self, announced: dict[str, Any]) -> None:
        if announced.get("type") == "agent.message" and announced.get("id") != self._shown:
            self._preview = announced.get("id")

    def _delta(self, event: dict[str, Any]) -> Sequence[Item]:
        event_id = event.get("event_id")
        if event_id is None or event_id != self._preview or event_id in self._seen:
            return ()
        text = ((event.get("delta") or {}).get("content") or {}).get("text")
        if not text:
            return ()
        self._shown = event_id
        return [TextDelta(event_id, text)]

    def _meaning(self, kind: str, event_id: str, event: dict[str, Any]) -> Sequence[Item]:
        if kind.startswith("agent."):
            self._begun = True
        match kind:
            case "session.status_running":
                self._begun, self.blocked_on = True, ()
            case "agent.message":
                if self._shown == event_id:
                    self._shown = None
                return [MessageDone(event_id, event.get("content") or [])]
            case "agent.thinking":
                # Says that the agent thought, not what: a thinking block without words.
                return [MessageDone(event_id, [{"type": "thinking", "thinking": ""}])]
            case "agent.tool_use" | "agent.custom_tool_use":
                return [ToolUse(event_id, event_id, event.get("name") or "", event.get("input") or {})]
            case "agent.mcp_tool_use":
                name = f"{event.get('mcp_server_name', '')}.{event.get('name', '')}"
                return [ToolUse(event_id, event_id, name, event.get("input") or {})]
            case "agent.tool_result" | "agent.mcp_tool_result":
                asked = event.get("tool_use_id") or event.get("mcp_tool_use_id") or ""
                return [ToolResult(asked, event.get("content") or [], bool(event.get("is_error")))]
            case "user.custom_tool_result" | "user.tool_result":  # ours, or of whoever else answers for the session
                asked = event.get("custom_tool_use_id") or event.get("tool_use_id") or ""
                return [ToolResult(asked, event.get("content") or [], bool(event.get("is_error")))]
            case "span.model_request_end":
                return self._request_ended(event)
            case "session.usage":
                return self._cost(event.get("usage") or {})
            case "session.error":
                self._error = (event.get("error") or {}).get("type")
            case "session.status_idle":
                return self._idle(event.get("stop_reason") or {})
            case "session.status_terminated":
                self.ended = Ended(failure=self._failure(retryable=False), terminated=True)
            case "session.deleted":
                self.ended = Ended(failure=gone(), terminated=True)
        return ()

    def _request_ended(self, event: dict[str, Any]) -> Sequence[Item]:
        used = event.get("model_usage") or {}
        read = sum(used.get(key) or 0 for key in _INPUT)
        usage = Usage(read, used.get("output_tokens") or 0)
        # A request that failed says nothing more: what was shown of its message was not said.
        return [*(self._retract() if event.get("is_error") else ()), usage]

    def _retract(self) -> Sequence[Item]:
        shown, self._shown, self._preview = self._shown, None, None
        return () if shown is None else [MessageDone(shown, [])]

    def _cost(self, usage: dict[str, Any]) -> Sequence[Item]:
        amount = usage.get("list_cost") or {}
        cents = amount.get("amount")
        if amount.get("currency") != "USD" or not isinstance(cents, str) or not cents.isdecimal():
            return ()
        before, self.cost_cents = self.cost_cents, int(cents)
        return [Usage(0, 0, (self.cost_cents - before) / 100)] if self.cost_cents > before else ()

    def _idle(self, reason: dict[str, Any]) -> Sequence[Item]:
        if not self._begun:
            return ()  # of before the prompt
        match reason.get("type"):
            case "requires_action":
                self.blocked_on = tuple(reason.get("event_ids") or ())
                return ()
            case "retries_exhausted":
                self.ended = Ended(failure=self._failure(retryable=True))
            case "budget_reached":
                text = "The agent's session has reached its budget."
                self.ended = Ended(failure=ProviderError("provider_limit_reached", text, retryable=False))
            case "refusal":
                self.ended = Ended("refusal")
            case _:
                self.ended = Ended("end_turn")
        return self._retract()

    def _failure(self, *, retryable: bool) -> ProviderError:
        code, message = _ERRORS.get(self._error or "", _UNKNOWN_ERROR)
        return ProviderError(code, message, retryable=retryable)


_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def gone() -> ProviderError:
    text = "The remote session no longer exists, or belongs to another API key. The next prompt begins a new one."
    return ProviderError("remote_session_gone", text, retryable=True, state={})
