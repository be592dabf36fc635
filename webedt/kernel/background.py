"""Long-lived tasks of a service: named, watched, ended together.

Owns the rule that no task ends unseen: one that crashes is reported to the event loop's exception handler with
`crashed_task` in its context, upon which the process stops (`webedt.daemon`), for a replica without its writer or its
heartbeat is worse than none. Must not know what the tasks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

import structlog

R = TypeVar("R")


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task until it ends or `stop` is called.

        It is nobody's: of a request that happens to start it, it takes over neither log fields nor the trace.
        """
        return self._start(name, work, Context())

    def _start(self, name: str, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def carry(self, name: str, work: Coroutine[Any, Any, R]) -> R:
        """Await `work`; should whoever awaits it be cancelled, it is carried to its end all the same.

        It remains the work of whoever awaits it, with their log fields and their trace.
        """

        async def carried() -> R | Exception:
            try:
                return await work
            except Exception as error:
                return error  # the caller's to raise, not a crash of this task

        task = self._start(name, carried(), copy_context())
        try:
            outcome: R | Exception = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_report)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def drain(self, seconds: float) -> None:
        """Give what runs so long to end by itself."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    async def stop(self) -> None:
        """Cancel what still runs and wait for it. Errors were reported when they happened."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "task crashed", "exception": error, "crashed_task": task.get_name()}
            task.get_loop().call_exception_handler(context)


def _report(task: asyncio.Task[Any]) -> None:
    """What went wrong after nobody waited for it any more still has to be seen by somebody."""
    if not task.cancelled() and isinstance(error := task.result(), Exception):
        log = structlog.get_logger(component="Background")
        log.warning("failed_unattended", task=task.get_name(), error=repr(error))
