"""Waiting for what a test expects, with a deadline, instead of sleeping for a guess."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

R = TypeVar("R")

LOOK_EVERY_SECONDS = 0.005


async def eventually(look: Callable[[], R | Awaitable[R]], what: str, *, seconds: float = 15.0) -> R:
    """The first true answer of `look`; fails the test, saying `what` was awaited, when there is none in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        answer = look()
        seen: R = await answer if inspect.isawaitable(answer) else answer  # type: ignore[assignment]
        if seen:
            return seen
        if loop.time() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last seen: {seen!r})")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
