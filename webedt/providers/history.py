"""How much of a conversation goes into a request, for upstreams that remember nothing.

Owns the budget and the shape that chat endpoints want: turns that alternate, a user's first. Pure.

Tokens are estimated, because counting them takes a request of its own. A text: one for each four bytes of UTF-8, about
right for English; code and other scripts take up to twice as many, for which the budget must leave room. An image: as
many as the largest that the Messages API does not scale down (its documentation: about 1,600).
"""

from collections.abc import Sequence
from typing import Any

from webedt.providers.interface import Turn

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1600


def within_budget(history: Sequence[Turn], tokens: int) -> list[Turn]:
    """The newest turns of `history` that fit into `tokens`, oldest first; the first is a user's, and roles alternate.

    Turns carry text and images only: the thinking of an earlier answer need not be sent again, and its tool calls must
    not be, without their results. A turn is taken whole or not at all, and none older than one that did not fit.
    """
    kept: list[Turn] = []
    for turn in reversed(history):
        content = sendable(turn.content)
        tokens -= sum(map(_tokens, content))
        if tokens < 0:
            break
        if content:
            kept.append(Turn(turn.role, content))
    while kept and kept[-1].role != "user":
        kept.pop()
    return merged(kept[::-1])


def merged(turns: Sequence[Turn]) -> list[Turn]:
    """One turn for consecutive ones of the same role: after a failed or interrupted run a user speaks twice."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            joined[-1] = Turn(turn.role, [*joined[-1].content, *turn.content])
        else:
            joined.append(turn)
    return joined


def sendable(content: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks that may be sent again; an endpoint refuses a text that is empty or only white space.

    Of a text only the text: its citations point into search results that are not sent.
    """
    blocks: list[dict[str, Any]] = []
    for block in content:
        match block:
            case {"type": "image"}:
                blocks.append(block)
            case {"type": "text", "text": str(text)} if text.strip():
                blocks.append({"type": "text", "text": text})
    return blocks


def without_empty_texts(content: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A prompt as it is, but for texts without anything in them, which an endpoint refuses."""
    return [block for block in content if block.get("type") != "text" or str(block.get("text", "")).strip()]


def _tokens(block: dict[str, Any]) -> int:
    if block["type"] == "image":
        return IMAGE_TOKENS
    return len(block["text"].encode()) // BYTES_PER_TOKEN + 1
