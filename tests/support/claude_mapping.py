"""What readers should see of a remote log: the mapping once more, written down as a table for tests to compare with."""

import json
from collections.abc import Iterable
from typing import Any

from webedt.providers.interface import Item, MessageDone, ToolResult, ToolUse, Usage


def remote_items(log: Iterable[dict[str, Any]]) -> list[Item]:
    """Everything but deltas, in the order of the log."""
    items: list[Item] = []
    cents = 0
    for event in log:
        match event["type"]:
            case "agent.message":
                items.append(MessageDone(event["id"], event["content"]))
            case "agent.thinking":
                items.append(MessageDone(event["id"], [{"type": "thinking", "thinking": ""}]))
            case "agent.tool_use":
                items.append(ToolUse(event["id"], event["id"], event["name"], event["input"]))
            case "agent.tool_result":
                items.append(ToolResult(event["tool_use_id"], event["content"], event["is_error"]))
            case "user.custom_tool_result":
                items.append(ToolResult(event["custom_tool_use_id"], event["content"], event["is_error"]))
            case "span.model_request_end":
                used = event["model_usage"]
                read = used["input_tokens"] + used["cache_creation_input_tokens"] + used["cache_read_input_tokens"]
                items.append(Usage(read, used["output_tokens"]))
            case "session.usage":
                before, cents = cents, int(event["usage"]["list_cost"]["amount"])
                if cents > before:
                    items.append(Usage(0, 0, (cents - before) / 100))
    return items


def our_items(log: Iterable[tuple[str, str]]) -> list[Item]:
    """The same of our own log, given as type and data: all that is not a delta and not ours alone."""
    items: list[Item] = []
    for kind, text in log:
        data = json.loads(text)
        match kind:
            case "message":
                items.append(MessageDone(data["messageId"], data["content"]))
            case "tool_use":
                items.append(ToolUse(data["messageId"], data["toolUseId"], data["name"], data["input"]))
            case "tool_result":
                items.append(ToolResult(data["toolUseId"], data["content"], data["isError"]))
            case "usage":
                items.append(Usage(data["inputTokens"], data["outputTokens"], data.get("costUsd")))
    return items
