"""What remote events of a managed agent session mean, and that each is taken once."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webedt.providers.claude_turn import RECENT_IDS, Position, Turn
from webedt.providers.interface import Item, MessageDone, TextDelta, ToolResult, ToolUse, Usage

Event = dict[str, Any]


def at(second: int) -> str:
    return f"2026-11-23T10:{second // 60:02}:{second % 60:02}.000001Z"


def event(number: int, kind: str, **fields: Any) -> Event:
    return {"id": f"sevt_{number}", "type": kind, "processed_at": at(number), **fields}


def message(number: int, text: str) -> Event:
    return event(number, "agent.message", content=[{"type": "text", "text": text}])


def preview(number: int, *texts: str) -> list[Event]:
    start = {"type": "event_start", "event": {"type": "agent.message", "id": f"sevt_{number}"}}
    deltas = [
        {
            "type": "event_delta",
            "event_id": f"sevt_{number}",
            "delta": {"type": "content_delta", "index": 0, "content": {"type": "text", "text": text}},
        }
        for text in texts
    ]
    return [start, *deltas]


def running(number: int = 0) -> Event:
    return event(number, "session.status_running")


def idle(number: int, **reason: Any) -> Event:
    return event(number, "session.status_idle", stop_reason=reason or {"type": "end_turn"})


def fresh() -> Turn:
    return Turn(Position(), None, 0)


def take(turn: Turn, *events: Event) -> list[Item]:
    return [item for one in events for item in turn.take(one)]


def test_a_message_is_previewed_and_then_said_whole() -> None:
    turn = fresh()
    items = take(turn, running(), *preview(1, "Hel", "lo"), message(1, "Hello"), idle(2))
    assert items == [
        TextDelta("sevt_1", "Hel"),
        TextDelta("sevt_1", "lo"),
        MessageDone("sevt_1", [{"type": "text", "text": "Hello"}]),
    ]
    assert turn.ended is not None
    assert turn.ended.stop_reason == "end_turn"


def test_an_event_that_comes_twice_is_taken_once() -> None:
    turn = fresh()
    assert len(take(turn, running(), message(1, "a"), message(1, "a"))) == 1


def test_a_queued_prompt_takes_its_place_when_it_is_processed() -> None:
    turn = fresh()
    queued = {"id": "sevt_9", "type": "user.message", "processed_at": None, "content": []}
    take(turn, queued)
    assert turn.checkpoint["position"]["ids"] == []
    take(turn, {**queued, "processed_at": at(9)})
    assert [name for name, _at in turn.checkpoint["position"]["ids"]] == ["sevt_9"]


def test_tools_keep_their_ids() -> None:
    items = take(
        fresh(),
        event(1, "agent.tool_use", name="bash", input={"command": "ls"}),
        event(2, "agent.tool_result", tool_use_id="sevt_1", content=[{"type": "text", "text": "a"}]),
        event(3, "agent.mcp_tool_use", mcp_server_name="github", name="search", input={}),
        event(4, "agent.mcp_tool_result", mcp_tool_use_id="sevt_3", is_error=True),
    )
    assert items == [
        ToolUse("sevt_1", "sevt_1", "bash", {"command": "ls"}),
        ToolResult("sevt_1", [{"type": "text", "text": "a"}], False),
        ToolUse("sevt_3", "sevt_3", "github.search", {}),
        ToolResult("sevt_3", [], True),
    ]


def test_usage_counts_each_request_and_the_cost_since_last_time() -> None:
    turn = Turn(Position(), None, cost_cents=250)
    used = {
        "input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 7,
    }  # fmt: skip
    cost = {"list_cost": {"amount": "262", "currency": "USD"}}
    items = take(
        turn,
        running(),
        event(1, "span.model_request_end", model_usage=used, is_error=False),
        event(2, "session.usage", usage=cost),
        event(3, "session.usage", usage=cost),
    )
    assert items == [Usage(115, 7), Usage(0, 0, 0.12)]
    assert turn.cost_cents == 262


def test_an_idle_session_before_the_prompt_ends_nothing() -> None:
    turn = fresh()
    take(turn, idle(1))
    assert turn.ended is None
    take(turn, running(2), idle(3))
    assert turn.ended is not None


def test_a_request_that_fails_takes_back_what_was_previewed() -> None:
    turn = fresh()
    items = take(turn, running(), *preview(1, "Hel"), event(2, "span.model_request_end", model_usage={}, is_error=True))
    assert items[1] == MessageDone("sevt_1", [])
    assert take(turn, *preview(3, "Hello"))[0] == TextDelta("sevt_3", "Hello")


def test_after_a_reconnection_a_message_is_not_continued_in_the_middle() -> None:
    turn = fresh()
    take(turn, running(), *preview(1, "Hel"))
    turn.reconnected()
    assert take(turn, *preview(1, "lo")) == []
    again = Turn(Position(), turn.checkpoint, 0)
    assert take(again, *preview(1, "lo")) == []
    assert take(again, message(1, "Hello")) == [MessageDone("sevt_1", [{"type": "text", "text": "Hello"}])]


def test_errors_end_the_turn_in_words_of_ours() -> None:
    secret = {"type": "billing_error", "message": "card 4242 of bob", "retry_status": {"type": "terminal"}}
    turn = fresh()
    take(turn, running(), event(1, "session.error", error=secret), event(2, "session.status_terminated"))
    assert turn.ended is not None
    assert turn.ended.terminated
    failure = turn.ended.failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("provider_billing", False)
    assert "4242" not in failure.message


def test_what_the_agent_recovers_from_ends_nothing() -> None:
    retrying = {"type": "model_overloaded_error", "message": "", "retry_status": {"type": "retrying"}}
    turn = fresh()
    take(turn, running(), event(1, "session.error", error=retrying), event(2, "session.status_rescheduled"))
    assert turn.ended is None
    take(turn, idle(3, type="retries_exhausted"))
    assert turn.ended is not None
    assert turn.ended.failure is not None
    assert (turn.ended.failure.code, turn.ended.failure.retryable) == ("provider_overloaded", True)


def test_a_question_of_the_agent_outlives_the_replica() -> None:
    turn = fresh()
    take(turn, running(), event(1, "agent.tool_use", name="bash", input={}))
    take(turn, idle(2, type="requires_action", event_ids=["sevt_1"]))
    assert turn.ended is None
    assert Turn(Position(), turn.checkpoint, 0).blocked_on == ("sevt_1",)


def test_the_position_stays_small_and_bounds_the_list_by_what_it_dropped() -> None:
    position = Position().including([(f"e{n}", at(n)) for n in range(RECENT_IDS + 3)])
    assert len(position.ids) == RECENT_IDS
    assert position.after == at(2)


def test_what_is_as_new_as_the_newest_is_remembered_however_much_it_is() -> None:
    """More of that time may come, and would lie behind a bound that this time is."""
    position = Position().including([(f"e{n}", at(1 + n // 100)) for n in range(150)])
    assert position.after == at(1)
    assert [name for name, _at in position.ids] == [f"e{n}" for n in range(100, 150)]


def test_the_end_is_found_again_by_who_comes_after_a_crash_right_before_it() -> None:
    turn = fresh()
    take(turn, running(), message(1, "a"), idle(2))
    successor = Turn(Position(), turn.checkpoint, 0)
    assert take(successor, message(1, "a"), idle(2)) == []
    assert successor.ended is not None
    assert [name for name, _at in turn.behind["ids"]] == ["sevt_0", "sevt_1", "sevt_2"]


@pytest.mark.parametrize(
    ("strange", "said"),
    [
        (event(1, "agent.message", content=None), [MessageDone("sevt_1", [])]),
        (event(1, "agent.tool_use", name=None, input=None), [ToolUse("sevt_1", "sevt_1", "", {})]),
        (event(1, "agent.tool_result", tool_use_id=None, content=None), [ToolResult("", [], False)]),
        (event(1, "span.model_request_end", model_usage=None), [Usage(0, 0)]),
        (event(1, "span.model_request_end", model_usage={"input_tokens": None}), [Usage(0, 0)]),
        (event(1, "session.usage", usage=None), []),
        (event(1, "session.usage", usage={"list_cost": {"amount": "12.5", "currency": "USD"}}), []),
        (event(1, "session.usage", usage={"list_cost": {"amount": None, "currency": "USD"}}), []),
        (event(1, "session.error", error=None), []),
        (event(1, "session.heard_of_never", of=["what", {"ever": 1}]), []),
        ({"type": "event_start", "event": None}, []),
        ({"type": "event_delta", "event_id": "sevt_9", "delta": None}, []),
    ],
)
def test_what_lacks_something_is_taken_for_what_is_there(strange: Event, said: list[Item]) -> None:
    turn = fresh()
    assert take(turn, running(), *preview(9), strange) == said
    assert take(turn, message(2, "still here")) != []


class Reader:
    """Takes a remote log over connections and crashes, and keeps what a database would keep."""

    def __init__(self, log: list[Event]) -> None:
        self.log = log
        self.turn = fresh()
        self.kept: list[Item] = []
        self.checkpoint: dict[str, Any] | None = None

    def connect(self, opened_at: int, listed_at: int, ended_at: int, batch: int = 1) -> None:
        """The stream is opened when `opened_at` events were logged, lists later, and ends still later.

        So many events as `batch` says come together, and what they say is kept in one step.
        """
        after = self.turn.position.after
        listed = [one for one in self.log[:listed_at] if after is None or one["processed_at"] > after]
        coming = [*listed, *self.log[opened_at:ended_at]]
        for first in range(0, len(coming), batch):
            if items := take(self.turn, *coming[first : first + batch]):
                self.kept += items
                self.checkpoint = msgspec.json.decode(msgspec.json.encode(self.turn.checkpoint))

    def crash(self) -> None:
        self.turn = Turn(Position(), self.checkpoint, 0)


@settings(max_examples=300, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["message", "tool", "usage", "nothing"]), max_size=60),
    connections=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 15), st.integers(0, 9))),
    ties=st.sampled_from([1, 3, 20]),
)
def test_whatever_breaks_every_event_is_taken_once(
    kinds: list[str], connections: list[tuple[int, int, int, int]], ties: int
) -> None:
    """Connections that end anywhere, overlaps of list and stream, and successors that have only the checkpoint."""
    makers = {
        "message": lambda n: message(n, str(n)),
        "tool": lambda n: event(n, "agent.tool_use", name="bash", input={"n": n}),
        "usage": lambda n: event(n, "span.model_request_end", model_usage={"output_tokens": n}),
        "nothing": lambda n: event(n, "span.model_request_start"),
    }
    log = [running(0), *(makers[kind](n) for n, kind in enumerate(kinds, 1)), idle(len(kinds) + 1)]
    log = [{**one, "processed_at": at(int(one["id"].removeprefix("sevt_")) // ties)} for one in log]
    reader = Reader(log)
    happened = 0
    for gap, until_listed, live, batch in connections:
        opened_at = happened + gap
        happened = opened_at + until_listed + live
        reader.connect(opened_at, opened_at + until_listed, happened, max(1, batch))
        if batch:  # also when the end has been taken: it may be lost before it is in the log
            reader.crash()
    if reader.turn.ended is None:
        reader.connect(len(log), len(log), len(log))
    assert reader.turn.ended is not None
    assert reader.kept == take(fresh(), *log)
