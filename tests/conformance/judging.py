"""Judging what was read: ids in order, a replay against what was live.

The deltas of a finished message may be removed later, so a jump is no fault if a `message` explains it. But all of them
go at once: who still gets one delta of that message has lost the others.
"""

from collections.abc import Sequence

from tests.conformance.check import expect, violate
from tests.conformance.sse import Frame, ids, logged

DELTAS = ("text_delta", "thinking_delta")


def judge_ids(frames: Sequence[Frame], after: int, what: str = "ids") -> None:
    """Each id is one more than that before, beginning behind `after`; a jump needs its `message`."""
    found = logged(frames)
    last = after
    for index, frame in enumerate(found):
        number = frame.id or 0
        if number <= last:
            violate(f"{what}: {last + 1} behind {last}", f"id {number} again or too late", "ids")
        if number > last + 1 and not _explained(found, index, last + 1):
            violate(f"{what}: {last + 1} behind {last}", f"id {number}, and no `message` that explains it", "ids")
        last = number


def _explained(found: Sequence[Frame], index: int, gap: int) -> bool:
    """The gap begins at the id `gap`; `found[index]` is what comes behind it."""
    partly = _with_deltas(found)
    for frame in found[index:]:
        if frame.event == "message" and frame.data.get("messageId") not in partly:
            start = frame.data.get("replacesFrom")
            if isinstance(start, int) and start <= gap:
                return True
    return False


def _with_deltas(frames: Sequence[Frame]) -> set[object]:
    return {frame.data.get("messageId") for frame in frames if frame.event in DELTAS}


def judge_replay(replay: Sequence[Frame], live: Sequence[Frame], after: int, what: str) -> None:
    """`replay` is the bytes of `live` behind `after`. Only deltas of messages that came whole may be missing."""
    judge_ids(replay, after, what)
    wanted = {frame.id: frame for frame in logged(live) if frame.id is not None and frame.id > after}
    whole = {frame.data.get("messageId") for frame in replay if frame.event == "message"} - _with_deltas(replay)
    for frame in logged(replay):
        expect(frame.id in wanted, f"{what}: only ids that were sent live", frame.raw, "ids")
        expect(frame.raw == wanted[frame.id].raw, f"{what}: {wanted[frame.id].raw!r}", frame.raw, "bytes")
    for number in sorted(wanted.keys() - set(ids(replay))):
        gone = wanted[number]
        if gone.event not in DELTAS or gone.data.get("messageId") not in whole:
            violate(f"{what}: event {number} ({gone.event})", f"ids {ids(replay)[:8]}… without it", "ids")
