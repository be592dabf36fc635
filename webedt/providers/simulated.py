"""A provider that needs nobody: deterministic text at a given speed, for development, tests and load.

The prompt may carry one directive, `[[tokens=200 rate=50 size=8 seed=1 error_after=20]]`: number of deltas, deltas a
second (0: as fast as possible), characters of each, the seed of the words, and after how many deltas to fail.
`thinking=5` puts so many thinking deltas before the answer. Continues after a take-over at the very next delta.
"""

import asyncio
import math
import random
import re
import zlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from webedt.domain.prompts import prompt_text
from webedt.kernel import BaseService
from webedt.providers.interface import (
    Completed,
    ExecutionProvider,
    Item,
    MessageDone,
    ProviderError,
    RunRequest,
    Step,
    TextDelta,
    ThinkingDelta,
    Usage,
)

_DIRECTIVE = re.compile(r"\[\[\s*((?:[a-z_]+=\d+(?:\.\d+)?\s*)+)\]\]")
LABEL = "This is a simulated answer, made of words without meaning. "
MAX_TOKENS = 1_000_000
MAX_CHARACTERS = 50_000_000
BURST = 32
SHORT_TEXT = 4000
# Runs wake together for what is due within it, as an upstream's tokens come together in packets: one turn of the loop
# and one commit for all of them, where each would have had its own.
TICK_SECONDS = 0.005
_WORDS = (
    *("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper", "kelp", "lantern"),
    *("meadow", "north", "orchard", "pebble", "quartz", "river", "summit", "tundra", "umber", "valley", "willow"),
    *("and", "of", "the", "under", "over", "with", "into", "through", "a", "an", "is", "was", "will"),
)


class Directive(msgspec.Struct, frozen=True):
    tokens: int = 60
    rate: float = 40.0
    size: int = 6
    seed: int = 0
    error_after: int | None = None
    thinking: int = 0


def parse_directive(text: str) -> Directive:
    """The directive of a prompt, or the defaults. Raises `ProviderError` for one that asks too much or unknown."""
    match = _DIRECTIVE.search(text)
    seed = zlib.crc32(text.encode())
    if match is None:
        return Directive(seed=seed)
    pairs = dict(pair.split("=", 1) for pair in match[1].split())
    unknown = set(pairs) - {"tokens", "rate", "size", "seed", "error_after", "thinking"}
    if unknown:
        raise ProviderError("invalid_directive", f"Unknown directive: {', '.join(sorted(unknown))}.", retryable=False)
    numbers: dict[str, Any] = {
        key: float(value) if key == "rate" else int(float(value)) for key, value in pairs.items()
    }
    directive = Directive(**{"seed": seed, **numbers})
    deltas = directive.tokens + directive.thinking
    if deltas > MAX_TOKENS or directive.size < 1 or deltas * directive.size > MAX_CHARACTERS:
        raise ProviderError(
            "invalid_directive", f"At most {MAX_TOKENS} deltas and {MAX_CHARACTERS} characters.", retryable=False
        )
    return directive


def simulated_text(length: int, seed: int) -> str:
    """The first `length` characters of the text of `seed`; a longer one begins with a shorter one."""
    words = random.Random(seed)  # noqa: S311 - deterministic on purpose
    parts = [LABEL]
    total = len(LABEL)
    while total < length:
        word = words.choice(_WORDS) + (".\n" if words.random() < 0.06 else " ")
        parts.append(word)
        total += len(word)
    return "".join(parts)[:length]


class SimulatedProvider(BaseService, ExecutionProvider):
    name = "simulated"
    resumable = True

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed

    @property
    def unavailable_reason(self) -> str | None:
        return None if self._allowed else "The simulated provider is off in production (SIMULATED_PROVIDER=on)."

    def default_model(self) -> str | None:
        return "simulated-1"

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        prompt = prompt_text(request.prompt)
        directive = parse_directive(prompt)
        total = directive.thinking + directive.tokens
        text = await _made_up(directive.tokens * directive.size, directive.seed)
        thought = await _made_up(directive.thinking * directive.size, directive.seed + 1)
        message_id = f"sim_{request.run_id.hex}"
        start = emitted = int((checkpoint or {}).get("emitted", 0))
        clock = asyncio.get_running_loop().time
        began = clock()
        while emitted < total:
            if directive.rate:
                due_at = began + (emitted - start + 1) / directive.rate
                if (delay := math.ceil(due_at / TICK_SECONDS) * TICK_SECONDS - clock()) > 0:
                    await asyncio.sleep(delay)
                due = min(total, max(emitted + 1, start + int((clock() - began) * directive.rate)))
            else:
                due = min(total, emitted + BURST)
            if directive.error_after is not None:
                due = min(due, max(emitted, directive.error_after))
            if due > emitted:
                items = [_delta(message_id, index, directive, thought, text) for index in range(emitted, due)]
                emitted = due
                yield Step(items, checkpoint={"emitted": emitted})
            if directive.error_after is not None and emitted >= directive.error_after:
                raise ProviderError(
                    "simulated_error", f"Failed after {emitted} deltas, as the prompt asked.", retryable=True
                )
        if emitted == total:
            content: list[dict[str, Any]] = [{"type": "thinking", "thinking": thought}] if thought else []
            content.append({"type": "text", "text": text})
            items = [
                MessageDone(message_id, content),
                Usage(input_tokens=len(prompt.split()), output_tokens=total),
            ]
            yield Step(items, checkpoint={"emitted": total + 1})
        yield Step([Completed("end_turn")])


async def _made_up(length: int, seed: int) -> str:
    """`simulated_text`, in a thread if it takes its time: a thread costs more than a short text."""
    if length > SHORT_TEXT:
        return await asyncio.to_thread(simulated_text, length, seed)
    return simulated_text(length, seed)


def _delta(message_id: str, index: int, directive: Directive, thought: str, text: str) -> Item:
    size = directive.size
    if index < directive.thinking:
        return ThinkingDelta(message_id, thought[index * size : (index + 1) * size])
    index -= directive.thinking
    return TextDelta(message_id, text[index * size : (index + 1) * size])
