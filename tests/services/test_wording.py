"""A provider's items as events of the log."""

import json
from uuid import uuid4

from webedt.log.producer import RunLog
from webedt.providers.interface import MessageDone, TextDelta, ToolUse
from webedt.services.wording import Wording


def wording() -> Wording:
    return Wording("run", RunLog(uuid4(), uuid4(), 1, lambda _log: None))


async def test_a_tool_call_stands_behind_the_message_that_was_said_before_it() -> None:
    """In one step the message is one event, and its deltas are none: nothing else would say where it stood."""
    call = ToolUse("m1", "t1", "get_weather", {})
    done = MessageDone("m1", [{"type": "text", "text": "I will look."}])
    events = await wording().events([TextDelta("m1", "I will look."), call, done, ToolUse("m2", "t2", "other", {})])
    assert [event.type for event in events] == ["message", "tool_use", "tool_use"]
    assert json.loads(events[0].data)["replacesFrom"] is None


async def test_a_tool_call_of_a_message_that_is_still_being_said_stands_where_it_came() -> None:
    said = wording()
    first = await said.events([TextDelta("m1", "I will"), ToolUse("m1", "t1", "get_weather", {})])
    assert [event.type for event in first] == ["text_delta", "tool_use"]
