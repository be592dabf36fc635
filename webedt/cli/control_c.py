"""What Ctrl-C means while a run is followed: ask, interrupt it, or leave it alone and go.

The answer goes on to be printed while the question stands. The second Ctrl-C always leaves, at once.
"""

import asyncio
import os
import signal
import sys
from types import TracebackType
from typing import Literal, Self

from webedt.cli.errors import INTERRUPTED, TERMINATED
from webedt.cli.keyboard import Keyboard
from webedt.cli.printing import Printer
from webedt.client import EventStream

Policy = Literal["ask", "interrupt", "detach"]
LEAVE_SECONDS = 2.0
QUESTION = "interrupt the run, detach, or go on? [i/d/C]"


class Left(Exception):
    """The reader goes before the end; the run does not end with it."""

    def __init__(self, exit_status: int) -> None:
        self.exit_status = exit_status


class ControlC:
    """A context manager inside the task that follows the stream; a decision arrives there as a cancellation."""

    def __init__(self, stream: EventStream, printer: Printer, policy: Policy) -> None:
        self.interrupt_wanted = False
        self.left: Left | None = None
        self._stream = stream
        self._printer = printer
        self._policy = policy
        self._pressed = 0
        self._keyboard = Keyboard(self._on_key)
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._on_interrupt)
        loop.add_signal_handler(signal.SIGTERM, self._leave, TERMINATED)
        loop.add_signal_handler(signal.SIGCONT, self._printer.terminal.renew)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._keyboard.close()

    @property
    def decided(self) -> bool:
        """Whether a cancellation comes from here."""
        return self.left is not None or self.interrupt_wanted

    @property
    def run(self) -> tuple[str, str] | None:
        """Session and run that an interrupt would be meant for."""
        session_id, run_id = self._stream.session_id, self._stream.run_id or self._printer.running_id
        return (session_id, run_id) if session_id and run_id else None

    def _on_interrupt(self) -> None:
        self._pressed += 1
        if self._pressed > 1 or self.run is None or self._policy == "detach":
            self._leave(INTERRUPTED)
        elif self._policy == "interrupt":
            self._interrupt()
        elif self._printer.terminal.seen and self._keyboard.open():
            self._ask()
        else:
            self._leave(INTERRUPTED)

    def _ask(self) -> None:
        terminal = self._printer.terminal
        self._printer.progress.question = QUESTION
        if not terminal.showing:
            self._printer.pause()
            terminal.notice(QUESTION)
        terminal.refresh()

    def _on_key(self, key: str) -> None:
        self._keyboard.close()
        self._printer.progress.question = ""
        if key in "iI":
            self._interrupt()
        elif key in "dD":
            self._leave(INTERRUPTED)
        else:
            self._pressed = 0
            self._printer.terminal.refresh()

    def _interrupt(self) -> None:
        self.interrupt_wanted = True
        self._cancel()

    def _leave(self, exit_status: int) -> None:
        self._keyboard.close()
        if self.left is not None:
            self._leave_now(exit_status)
        self.left = Left(exit_status)
        self._cancel()
        asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._leave_now, exit_status)

    def _leave_now(self, exit_status: int) -> None:
        """Whatever keeps the process from ending is not waited for."""
        self._printer.leave(self._stream.session_id)
        sys.stdout.flush()
        os._exit(exit_status)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
