"""The simulated provider: deterministic, resumable at every delta, failing when asked to."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webedt.providers.interface import Completed, Item, MessageDone, ProviderError, RunRequest, TextDelta, ThinkingDelta
from webedt.providers.simulated import LABEL, SimulatedProvider, parse_directive

RUN = UUID("00000000-0000-4000-8000-000000000001")


def ask(said: str) -> RunRequest:
    prompt = [{"type": "text", "text": said}]
    return RunRequest(run_id=RUN, session_id=uuid4(), user_id=uuid4(), attempt=1, model=None, prompt=prompt)


async def answer(said: str, checkpoint: dict[str, Any] | None = None) -> list[tuple[list[Item], dict[str, Any] | None]]:
    provider = SimulatedProvider(allowed=True)
    return [(list(step.items), step.checkpoint) async for step in provider.run(ask(said), checkpoint)]


def texts(steps: list[tuple[list[Item], dict[str, Any] | None]]) -> list[str]:
    return [item.text for items, _ in steps for item in items if isinstance(item, TextDelta)]


async def test_the_directive_says_how_many_deltas_of_how_many_characters() -> None:
    steps = await answer("go [[tokens=20 rate=0 size=7 seed=1 thinking=3]]")
    assert [len(text) for text in texts(steps)] == [7] * 20
    assert sum(isinstance(item, ThinkingDelta) for items, _ in steps for item in items) == 3
    assert "".join(texts(steps)).startswith(LABEL[:50])
    assert isinstance(steps[-1][0][0], Completed)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 5), st.integers(0, 61), st.integers(0, 9))
async def test_continued_at_any_checkpoint_it_says_the_rest_and_nothing_twice(
    tokens: int, thinking: int, at: int, seed: int
) -> None:
    said = f"[[tokens={tokens} rate=0 thinking={thinking} seed={seed}]]"
    whole = [item for items, _ in await answer(said) for item in items]
    deltas = [item for item in whole if isinstance(item, TextDelta | ThinkingDelta)]
    emitted = min(at, len(deltas))
    rest = [item for items, _ in await answer(said, {"emitted": emitted}) for item in items]
    assert deltas[:emitted] + rest == whole


async def test_after_the_last_checkpoint_only_the_end_is_left() -> None:
    steps = await answer("[[tokens=3 rate=0]]")
    last = steps[-2][1]
    assert await answer("[[tokens=3 rate=0]]", last) == [([Completed("end_turn")], None)]


async def test_the_message_is_what_the_deltas_said() -> None:
    steps = await answer("[[tokens=40 rate=0 size=9]]")
    done = next(item for items, _ in steps for item in items if isinstance(item, MessageDone))
    assert done.content == [{"type": "text", "text": "".join(texts(steps))}]


async def test_it_fails_after_as_many_deltas_as_asked() -> None:
    provider = SimulatedProvider(allowed=True)
    seen: list[Item] = []
    with pytest.raises(ProviderError) as failed:
        async for step in provider.run(ask("[[tokens=50 rate=0 error_after=20]]"), None):
            seen += step.items
    assert len(seen) == 20
    assert failed.value.code == "simulated_error"


@pytest.mark.parametrize("said", ["[[tokens=99999999]]", "[[size=0 tokens=1]]", "[[colour=3]]"])
def test_a_directive_that_asks_too_much_or_unknown_is_refused(said: str) -> None:
    with pytest.raises(ProviderError, match=r"\w"):
        parse_directive(said)


def test_it_is_off_unless_allowed() -> None:
    assert SimulatedProvider(allowed=False).unavailable_reason is not None
    assert SimulatedProvider(allowed=True).unavailable_reason is None
