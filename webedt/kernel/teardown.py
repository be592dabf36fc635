"""Undoing things one after another, whatever happens on the way.

Owns the one rule by which everything here is taken down: every step runs, the faults come together at the end.
Must not know what is being taken down.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable

import structlog

Step = Callable[[], Awaitable[object] | object]


async def tear_down(what: str, steps: Iterable[tuple[str, Step]]) -> None:
    """Run all `steps` (name, sync or async callable) in the order given.

    A step that raises does not stop the others; all errors are raised as one `ExceptionGroup` headed `what`, each
    with a note naming its step. A cancellation cuts off the step that is waiting, and only that one: a hanging step
    under `asyncio.timeout` costs the others nothing. `CancelledError` is then raised after the last step; as it
    takes the place of the group, the errors are logged.
    """
    errors: list[Exception] = []
    cancelled: CancelledError | None = None
    for name, step in steps:
        try:
            pending = step()
            if isawaitable(pending):
                await pending
        except CancelledError as error:
            error.add_note(f"cut off: {name}")
            cancelled = error
        except Exception as error:
            error.add_note(f"raised by: {name}")
            errors.append(error)
    failures = ExceptionGroup(what, errors) if errors else None
    if cancelled is not None:
        if failures is not None:
            structlog.get_logger(component="tear_down").error("teardown_failed", what=what, exc_info=failures)
        raise cancelled
    if failures is not None:
        raise failures


async def undo(error: BaseException, steps: Iterable[tuple[str, Step]]) -> None:
    """Tear down after `error`, which stays the error to raise: faults of the clean-up are logged and noted on it.

    A cancellation meanwhile is raised, as it must not get lost.
    """
    try:
        await tear_down("clean-up failed", steps)
    except ExceptionGroup as failures:
        error.add_note(f"and its clean-up failed: {'; '.join(map(repr, failures.exceptions))}")
        structlog.get_logger(component="tear_down").error("undo_failed", cause=repr(error), exc_info=failures)
