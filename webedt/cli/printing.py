"""From a run's events to what stands on the screen, and to the exit status."""

import json
from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import Any

from webedt.cli.errors import FAILURE, INTERRUPTED
from webedt.cli.terminal import Terminal
from webedt.client import Event, EventStream, Retry

LONGEST_INPUT = 100


class Printer(ABC):
    """What every way of printing shares: how runs ended, and the words about a server that cannot be reached."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._last_end: Event | None = None
        self._has_read = False
        self._complained = False

    def handle(self, event: Event) -> None:
        """Show `event`."""
        self._has_read = True
        self._complained = False
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

    def leave(self, session_id: str | None) -> None:
        """Say how to come back, for a reader who goes before the end."""
        if session_id is None:
            self.terminal.notice("left before the server answered; `webedt sessions` shows whether the prompt arrived")
        else:
            self.terminal.notice(f"left session {session_id}; `webedt resume {session_id}` reads on")

    def exit_status(self) -> int:
        """0 after `completed` (or without any end), 1 after `failed`, 130 after `interrupted`; the last run counts."""
        kinds = {"failed": FAILURE, "interrupted": INTERRUPTED}
        return kinds.get(self._last_end.type, 0) if self._last_end else 0

    def on_retry(self, retry: Retry) -> None:
        """Said before each wait. One broken connection is no news; an outage is, once.

        Before the first event there is nothing else to be seen: without a status line the first failure is told.
        """
        if retry.error is None:
            return
        what = str(retry.error).rstrip(".")
        self.terminal.status(f"{what}; trying again")
        if self._complained or (retry.failures < 3 if self._has_read else self.terminal.interactive):
            return
        self._complained = True
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
            self.terminal.text(json.dumps(line, ensure_ascii=False) + "\n")


class TextPrinter(Printer):
    """The answer as text; a person also sees thinking, tools, what is waited for, and a summary.

    A `message` is printed as far as its deltas were not: they may have been compacted away while the connection was
    down, before or behind the point that was reached.
    """

    def __init__(self, terminal: Terminal, *, show_prompts: bool = False) -> None:
        super().__init__(terminal)
        self._show_prompts = show_prompts
        self._printed: dict[str, str] = {}
        self._current: tuple[str, str] | None = None
        self._tokens = [0, 0]
        self._cost_usd = 0.0
        self._milliseconds = 0.0

    def show(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "user_message":
                if self._show_prompts:
                    self.terminal.aside_line(f"> {_block_text(data.get('content'), 'text')}")
                self.terminal.status("waiting for its turn")
            case "run_started" | "run_recovered":
                self.terminal.status(f"waiting for {data.get('model') or data.get('provider') or 'the answer'}")
            case "text_delta" | "thinking_delta":
                self._piece(event.type.removesuffix("_delta"), str(data.get("messageId")), str(data.get("text", "")))
            case "message":
                self._whole_message(data)
            case "tool_use":
                shown = json.dumps(data.get("input"), ensure_ascii=False)
                self.terminal.aside_line(f"* {data.get('name')} {_shortened(shown)}")
                self.terminal.status(f"running {data.get('name')}")
            case "tool_result":
                if data.get("isError"):
                    self.terminal.aside_line(f"* failed: {_shortened(_block_text(data.get('content'), 'text'))}")
                self.terminal.status("waiting for the answer")
            case "usage":
                self._tokens[0] += int(data.get("inputTokens") or 0)
                self._tokens[1] += int(data.get("outputTokens") or 0)
                self._cost_usd += float(data.get("costUsd") or 0)
            case "run_restarted":
                self._begin_anew(f"the run was restarted ({data.get('reason')}), its unfinished answer begins anew")
            case "reset":
                self._begin_anew("the server's log begins anew")
            case "completed":
                self._milliseconds += float(data.get("durationMs") or 0)

    def finish(self, session_id: str) -> None:
        self.terminal.end_line()
        if self._last_end is not None:
            tokens = f"{self._tokens[0]:,} tokens in, {self._tokens[1]:,} out"
            cost = f" · ${self._cost_usd:.2f}" if self._cost_usd else ""
            self.terminal.aside_line(f"{tokens}{cost} · {self._milliseconds / 1000:.1f} s · session {session_id}")
        super().finish(session_id)

    def _piece(self, kind: str, message_id: str, text: str) -> None:
        if kind == "thinking" and not self.terminal.interactive:
            return
        if self._current != (kind, message_id):
            self.terminal.end_line()
            self._current = (kind, message_id)
        key = f"{kind} {message_id}"
        self._printed[key] = self._printed.get(key, "") + text
        (self.terminal.text if kind == "text" else self.terminal.aside)(text)

    def _whole_message(self, data: dict[str, Any]) -> None:
        if data.get("role") == "user":
            return
        message_id = str(data.get("messageId"))
        for kind in ("thinking", "text"):
            whole = _block_text(data.get("content"), kind)
            printed = self._printed.pop(f"{kind} {message_id}", "")
            if whole.startswith(printed):
                rest = whole[len(printed) :]
            elif whole.endswith(printed) or printed.startswith(whole):
                rest = ""  # The reader began in the middle of the message, at a cursor of their own.
            else:
                self._current = None
                rest = whole
            if printed and not whole and kind == "text":
                self.terminal.aside_line("(taken back)")
            if rest:
                self._piece(kind, message_id, rest)
                self._printed.pop(f"{kind} {message_id}", None)

    def _begin_anew(self, why: str) -> None:
        self._printed.clear()
        self._current = None
        self.terminal.end_line()
        self.terminal.notice(why)


async def follow(stream: EventStream, printer: Printer) -> None:
    """Hand every event of `stream` to `printer`. Raises what the stream raises."""
    async with aclosing(aiter(stream)) as events:
        async for event in events:
            printer.handle(event)


def _block_text(content: Any, kind: str) -> str:
    """The text of the blocks of one kind; `content` is a list of content blocks or a string."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    blocks = content if isinstance(content, list) else []
    return "".join(str(b.get(kind) or "") for b in blocks if isinstance(b, dict) and b.get("type") == kind)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_INPUT else line[: LONGEST_INPUT - 1] + "…"
