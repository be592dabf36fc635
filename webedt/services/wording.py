"""What a provider says, as events of the log.

Invariant: a `message` is worded only when the id of its first delta is known, because it names it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from webedt.domain.events import (
    MESSAGE,
    TEXT_DELTA,
    THINKING_DELTA,
    TOOL_RESULT,
    TOOL_USE,
    USAGE,
    NewEvent,
    encode_data,
    encode_delta,
)
from webedt.log.producer import RunLog
from webedt.providers.interface import (
    Completed,
    Item,
    MessageDone,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
    Usage,
)


class Wording:
    """Of one run; remembers which messages have begun."""

    def __init__(self, run_id: str, log: RunLog) -> None:
        self._run_id = run_id
        self._log = log
        self._first_deltas: dict[str, asyncio.Future[int]] = {}

    def resume(self, open_messages: Mapping[str, int]) -> None:
        """Messages that an earlier attempt began, with the id of the first delta of each."""
        for message_id, seq in open_messages.items():
            known: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            known.set_result(seq)
            self._first_deltas[message_id] = known

    async def events(self, items: Sequence[Item]) -> list[NewEvent]:
        """The events of a step, to be appended before the next step is asked for."""
        # Deltas of a message that begins in this very step and is done in it say nothing that the message does not.
        whole = {
            item.message_id
            for item in items
            if isinstance(item, MessageDone) and item.message_id not in self._first_deltas
        }
        events: list[NewEvent] = []
        for item in _messages_first(items, whole):
            match item:
                case TextDelta() | ThinkingDelta():
                    if item.message_id in whole:
                        continue
                    if item.message_id not in self._first_deltas:
                        self._first_deltas[item.message_id] = self._log.expect_seq(len(events))
                    kind = TEXT_DELTA if isinstance(item, TextDelta) else THINKING_DELTA
                    events.append(NewEvent(kind, encode_delta(self._run_id, item.message_id, item.text)))
                case MessageDone():
                    first = self._first_deltas.pop(item.message_id, None)
                    data = {
                        "runId": self._run_id,
                        "messageId": item.message_id,
                        "role": item.role,
                        "content": item.content,
                        "replacesFrom": None if first is None else await first,
                    }
                    events.append(NewEvent(MESSAGE, encode_data(data)))
                case Completed():
                    pass
                case _:
                    events.append(_plain_event(self._run_id, item))
        return events


def _messages_first(items: Sequence[Item], whole: Collection[str]) -> Sequence[Item]:
    """A tool is used after what was said before it: where no delta says that, its call comes behind the message."""
    if not whole:
        return items
    waiting: dict[str, list[Item]] = {}
    ordered: list[Item] = []
    for item in items:
        if isinstance(item, ToolUse) and item.message_id in whole:
            waiting.setdefault(item.message_id, []).append(item)
        else:
            ordered.append(item)
            if isinstance(item, MessageDone):
                ordered += waiting.pop(item.message_id, ())
    return ordered


def _plain_event(run_id: str, item: ToolUse | ToolResult | Usage) -> NewEvent:
    data: dict[str, Any]
    match item:
        case ToolUse():
            data = {
                "runId": run_id,
                "messageId": item.message_id,
                "toolUseId": item.tool_use_id,
                "name": item.name,
                "input": item.input,
            }
            return NewEvent(TOOL_USE, encode_data(data))
        case ToolResult():
            data = {"runId": run_id, "toolUseId": item.tool_use_id, "content": item.content, "isError": item.is_error}
            return NewEvent(TOOL_RESULT, encode_data(data))
    data = {"runId": run_id, "inputTokens": item.input_tokens, "outputTokens": item.output_tokens}
    if item.cost_usd is not None:
        data["costUsd"] = item.cost_usd
    return NewEvent(USAGE, encode_data(data))
