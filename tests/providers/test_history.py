"""How much of a conversation is sent."""

from typing import Any, Literal

from webedt.providers.history import IMAGE_TOKENS, merged, within_budget
from webedt.providers.interface import Turn


def says(role: Literal["user", "assistant"], *texts: str) -> Turn:
    return Turn(role, [{"type": "text", "text": text} for text in texts])


IMAGE: dict[str, Any] = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "x" * 100_000},
}


def test_the_newest_turns_are_kept_whole_and_a_user_begins() -> None:
    history = [
        says("user", "a" * 400),
        says("assistant", "b" * 40),
        says("user", "c" * 40),
        says("assistant", "d" * 40),
    ]
    assert within_budget(history, 1000) == history
    assert within_budget(history, 35) == history[2:]
    assert within_budget(history, 21) == []


def test_nothing_older_than_what_did_not_fit_is_sent() -> None:
    history = [says("user", "a"), says("assistant", "b" * 4000), says("user", "c"), says("assistant", "d")]
    assert within_budget(history, 100) == history[2:]


def test_turns_of_one_role_are_one_turn() -> None:
    history = [
        says("user", "asked"),
        says("user", "asked again"),
        says("assistant", "yes"),
        says("assistant", "and no"),
    ]
    joined = [says("user", "asked", "asked again"), says("assistant", "yes", "and no")]
    assert within_budget(history, 1000) == joined
    assert history[0] == says("user", "asked"), "what was given is not changed"
    assert merged([]) == []


def test_thinking_tools_empty_texts_and_citations_stay_behind() -> None:
    answer = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "text", "text": " \n"},
        {"type": "text", "text": "said", "citations": [{"type": "web_search_result_location"}]},
    ]
    only_a_tool = Turn("assistant", answer[:2])
    history = [says("user", "one"), Turn("assistant", answer), says("user", "two"), only_a_tool, says("user", "three")]
    assert within_budget(history, 1000) == [
        says("user", "one"),
        says("assistant", "said"),
        says("user", "two", "three"),
    ]


def test_an_image_costs_the_same_however_many_bytes_it_has() -> None:
    history = [Turn("user", [IMAGE]), says("assistant", "seen")]
    assert within_budget(history, IMAGE_TOKENS + 2) == history
    assert within_budget(history, IMAGE_TOKENS + 1) == []
