"""What every way of printing a run's events shares, and the way for programs."""

import json
from abc import ABC, abstractmethod
from contextlib import aclosing

from webedt.cli.errors import COMPLETED, FAILURE, INTERRUPTED
from webedt.cli.progress import Progress
from webedt.cli.safe_text import json_line
from webedt.cli.terminal import Terminal
from webedt.client import Event, EventStream, Retry


class Printer(ABC):
    """How runs ended, which one goes on, and the words about a server that cannot be reached."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.progress = Progress()
        self.running_id: str | None = None
        self._last_end: Event | None = None
        self._has_read = False
        self._complained = False
        self._left = False

    def handle(self, event: Event) -> None:
        """Show `event`."""
        self._has_read = True
        self._complained = False
        self.progress.live()
        if event.run_id is not None:
            self.running_id = None if event.ends_run else event.run_id
        self.show(event)
        if event.ends_run:
            self._last_end = event
            self._explain_end(event)

    @abstractmethod
    def show(self, event: Event) -> None:
        """Print what `event` looks like."""

    def finish(self, session_id: str) -> None:
        """Close the output after the last event."""
        self.terminal.close()

    @abstractmethod
    def pause(self) -> None:
        """Print what was held back: something else is to stand behind it."""

    def leave(self, session_id: str | None) -> None:
        """Say how to come back, once, for a reader who goes before the end."""
        if self._left:
            return
        self._left = True
        self.pause()
        self.terminal.close()
        if session_id is None:
            self.terminal.notice("left before the server answered; `webedt sessions` shows whether the prompt arrived")
        else:
            self.terminal.notice(f"left session {session_id}, it goes on; `webedt resume {session_id}` reads on")

    def exit_status(self) -> int:
        """Of the last run that ended; 0 if none did."""
        kinds = {"failed": FAILURE, "interrupted": INTERRUPTED}
        return kinds.get(self._last_end.type, COMPLETED) if self._last_end else COMPLETED

    def on_retry(self, retry: Retry) -> None:
        """Said before each wait. One broken connection is no news; an outage is, once.

        Before the first event there is nothing else to be seen: without a progress line the first failure is told.
        """
        self.progress.reconnect_in(retry.delay_seconds)
        self.terminal.refresh()
        if retry.error is None or self._complained:
            return
        if retry.failures < 3 if self._has_read else self.terminal.interactive:
            return
        self._complained = True
        what = str(retry.error).rstrip(".")
        self.pause()
        self.terminal.notice(f"{what}; {'the run goes on, ' if self._has_read else ''}trying again")

    def _explain_end(self, event: Event) -> None:
        if event.type == "failed":
            advice = "; it may work if you try again" if event.data.get("retryable") else ""
            self.terminal.notice(f"the run failed: {event.data.get('message')} ({event.data.get('code')}){advice}")
        elif event.type == "interrupted":
            self.terminal.notice("the run was interrupted")


class JsonPrinter(Printer):
    """One object a line: `{"sessionId", "id", "type", "data"}`; `id` is null for `reset`, the log began anew."""

    def __init__(self, terminal: Terminal, stream: EventStream) -> None:
        super().__init__(terminal)
        self._stream = stream

    def show(self, event: Event) -> None:
        if event.id is not None or event.type == "reset":
            line = {"sessionId": self._stream.session_id, "id": event.id, "type": event.type, "data": event.data}
            self.terminal.rendered(json_line(json.dumps(line, ensure_ascii=False)) + "\n")

    def pause(self) -> None:
        """Nothing is held back."""


async def follow(stream: EventStream, printer: Printer) -> None:
    """Hand every event of `stream` to `printer`. Raises what the stream raises."""
    async with aclosing(aiter(stream)) as events:
        async for event in events:
            printer.handle(event)
