"""What the checks forgive: deltas that were removed later, and nothing else."""

import json

import pytest

from tests.conformance.check import Violation
from tests.conformance.judging import judge_ids, judge_replay
from tests.conformance.sse import Frame, parse_all


def frames(*described: str) -> list[Frame]:
    """`3:text_delta:m1` is such a frame; a `message` names its first delta last."""
    blocks = []
    for one in described:
        number, event, message, *first = one.split(":")
        data = {"runId": "r", "messageId": message, **({"replacesFrom": int(first[0])} if first else {})}
        blocks.append(f"id: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n")
    return parse_all("".join(blocks).encode())


LIVE = ("1:user_message:", "2:text_delta:m", "3:text_delta:m", "4:user_message:", "5:text_delta:m", "6:message:m:2")
COMPACTED = ("1:user_message:", "4:user_message:", "6:message:m:2")


def test_a_log_without_gap_is_in_order() -> None:
    judge_ids(frames(*LIVE), 0)
    judge_ids(frames(*LIVE[2:]), 2)
    judge_replay(frames(*LIVE[3:]), frames(*LIVE), 3, "replay")


def test_deltas_of_a_whole_message_may_be_gone() -> None:
    judge_ids(frames(*COMPACTED), 0)
    judge_replay(frames(*COMPACTED), frames(*LIVE), 0, "replay")
    judge_replay(frames("4:user_message:", "6:message:m:2"), frames(*LIVE), 2, "a cursor inside the gap")


@pytest.mark.parametrize(
    ("wrong", "after"),
    [
        ([*LIVE[:2], *LIVE[3:]], 0),  # one delta of several
        ([*LIVE[:4], LIVE[5]], 0),
        ([*LIVE[:1], *LIVE[4:]], 0),  # what is no delta
        ([LIVE[0], "6:message:m:4"], 0),  # a message that begins behind the gap
        ([*COMPACTED[:2]], 0),  # no message
        ([*LIVE, LIVE[5]], 0),
        ([LIVE[0], LIVE[2], LIVE[1], *LIVE[3:]], 0),
        ([*LIVE[1:]], 2),
        ([LIVE[0], *LIVE[1:5], "7:message:m:2"], 0),
    ],
)
def test_nothing_else_may(wrong: list[str], after: int) -> None:
    with pytest.raises(Violation):
        judge_replay(frames(*wrong), frames(*LIVE), after, "replay")


def test_a_changed_byte_is_found() -> None:
    changed = frames(*LIVE[:5], "6:message:m:1")
    with pytest.raises(Violation, match="came b'id: 6"):
        judge_replay(changed, frames(*LIVE), 0, "replay")
