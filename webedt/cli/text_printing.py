"""The answer as text: Markdown, thinking and tools for a person, the bare text for a pipe."""

from typing import Any

from webedt.cli.markdown import MarkdownRenderer, PlainRenderer
from webedt.cli.printing import Printer
from webedt.cli.safe_text import one_line, printable
from webedt.cli.styles import BAD, DIM, GOOD
from webedt.cli.terminal import Terminal
from webedt.cli.tools import block_text, call_summary, result_summary
from webedt.cli.width import cut
from webedt.client import Event

LEAST_ROOM = 16


class TextPrinter(Printer):
    """A `message` is printed as far as its deltas were not: they may have been compacted away while the connection was
    down, before or behind the point that was reached.
    """

    def __init__(self, terminal: Terminal, *, show_prompts: bool = False, show_thinking: bool = False) -> None:
        super().__init__(terminal)
        self._show_prompts = show_prompts
        self._show_thinking = show_thinking and terminal.seen
        self._printed: dict[str, str] = {}
        self._thoughts: dict[str, str] = {}
        self._current: tuple[str, str] | None = None
        self._renderer: MarkdownRenderer | PlainRenderer | None = None
        self._open_tool: Any = None
        self._after_tools = False
        self._tool_names: dict[str, str] = {}
        self._milliseconds = 0.0

    def show(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "user_message":
                self._prompt(data)
                self._doing("waiting for its turn")
            case "run_started":
                self.progress.begin_run()
                self._doing(f"waiting for {one_line(str(data.get('model') or data.get('provider') or 'the answer'))}")
            case "run_recovered":
                self.progress.tell("another replica took over")
            case "text_delta" | "thinking_delta":
                self._piece(event.type.removesuffix("_delta"), str(data.get("messageId")), str(data.get("text", "")))
            case "message":
                self._whole_message(data)
            case "tool_use":
                self._tool_use(data)
            case "tool_result":
                self._tool_result(data)
            case "usage":
                self.progress.input_tokens += int(data.get("inputTokens") or 0)
                self.progress.output_tokens += int(data.get("outputTokens") or 0)
                self.progress.cost_usd += float(data.get("costUsd") or 0)
            case "run_restarted":
                reason = one_line(str(data.get("reason") or "its replica was lost"))
                self._begin_anew(f"the run was restarted ({reason}): its answer begins anew")
            case "reset":
                self._begin_anew("the server's log begins anew")
            case "completed":
                self._milliseconds += float(data.get("durationMs") or 0)
        if event.ends_run:
            self.pause()
            self.terminal.end_line()

    def pause(self) -> None:
        if self._renderer is not None:
            self.terminal.rendered(self._renderer.finish())
            self._renderer = None
        self._fold_thoughts()
        self._current = None
        self._open_tool = None

    def finish(self, session_id: str) -> None:
        self.pause()
        self.terminal.end_line()
        self.terminal.close()
        if self._last_end is not None and self.terminal.seen:
            self.terminal.rendered("\n")
            spent = self.progress
            facts = [
                f"{spent.input_tokens:,} tokens in, {spent.output_tokens:,} out" if spent.output_tokens else "",
                f"${spent.cost_usd:.2f}" if spent.cost_usd else "",
                f"{self._milliseconds / 1000:.1f} s" if self._milliseconds else "",
            ]
            if any(facts):
                self.terminal.aside_line(" · ".join(filter(None, facts)))
            self.terminal.aside_line(f"session {session_id}")

    def _doing(self, what: str) -> None:
        self.progress.doing = what

    def _prompt(self, data: dict[str, Any]) -> None:
        if self._show_prompts and self.terminal.seen:
            self._switch_to("prompt", str(data.get("runId")))
            renderer = PlainRenderer(self._columns, styled=self.terminal.styled, style=DIM)
            quoted = "\n".join(f"> {line}" for line in printable(block_text(data.get("content"))).splitlines())
            self.terminal.rendered(renderer.feed(quoted) + renderer.finish())
            self.pause()
            self.terminal.end_line()

    def _piece(self, kind: str, message_id: str, text: str) -> None:
        key = f"{kind} {message_id}"
        self._printed[key] = self._printed.get(key, "") + text
        self._doing("thinking" if kind == "thinking" else "answering")
        if kind == "thinking" and not self._show_thinking:
            self._thoughts[message_id] = self._thoughts.get(message_id, "") + text
            return
        self._switch_to(kind, message_id)
        if not self.terminal.seen:
            self.terminal.text(text)
            return
        if self._renderer is None:
            columns, styled = self._columns, self.terminal.styled
            thinking = kind == "thinking"
            self._renderer = (
                PlainRenderer(columns, styled=styled, style=DIM)
                if thinking
                else MarkdownRenderer(columns, styled=styled)
            )
        self.terminal.rendered(self._renderer.feed(text))

    def _columns(self) -> int:
        # The last column stays free: behind a character there, terminals disagree on where the cursor is.
        return self.terminal.columns - 1

    def _switch_to(self, kind: str, message_id: str) -> None:
        if self._current != (kind, message_id):
            self.pause()
            self.terminal.end_line()
            if self._after_tools and kind == "text" and self.terminal.seen:
                self.terminal.rendered("\n")
            self._after_tools = False
            self._current = (kind, message_id)

    def _fold_thoughts(self) -> None:
        """What was thought, in one line: how it begins."""
        for thought in filter(None, map(one_line, self._thoughts.values())):
            self.terminal.aside_line(cut(f"∴ {thought}", self._columns()))
        self._thoughts.clear()

    def _whole_message(self, data: dict[str, Any]) -> None:
        if data.get("role") == "user":
            return
        message_id = str(data.get("messageId"))
        for kind in ("thinking", "text"):
            whole = block_text(data.get("content"), kind)
            printed = self._printed.pop(f"{kind} {message_id}", "")
            if whole.startswith(printed):
                rest = whole[len(printed) :]
            elif whole.endswith(printed) or printed.startswith(whole):
                rest = ""  # The reader began in the middle of the message, at a cursor of their own.
            else:
                self.pause()
                rest = whole
            if printed and not whole and kind == "text":
                self.terminal.aside_line("(taken back)")
            if rest:
                self._piece(kind, message_id, rest)
                self._printed.pop(f"{kind} {message_id}", None)

    def _tool_use(self, data: dict[str, Any]) -> None:
        summary = call_summary(data.get("name"), data.get("input"))
        tool_id = str(data.get("toolUseId"))
        self._tool_names[tool_id] = one_line(str(data.get("name") or "tool"))
        self.pause()
        self.terminal.end_line()
        self.terminal.aside(cut(f"⚙ {summary}", self._columns()))
        self._open_tool, self._after_tools = tool_id, True
        self._doing(f"running {self._tool_names[tool_id]}")

    def _tool_result(self, data: dict[str, Any]) -> None:
        """On the line of the call if nothing came in between and there is room, else on one of its own."""
        tool_id, failed = str(data.get("toolUseId")), bool(data.get("isError"))
        said = result_summary(block_text(data.get("content")))
        mark, style = ("✗", BAD) if failed else ("✓", GOOD)
        name = self._tool_names.pop(tool_id, "tool")
        same_line = self._open_tool == tool_id
        result = f"{mark} {said}" if said else f"{mark} {'failed' if failed else 'ok'}"
        if same_line and self.terminal.room >= LEAST_ROOM:
            self.terminal.aside(" " + cut(result, self.terminal.room - 2), style)
        else:
            self.pause()
            self.terminal.end_line()
            self.terminal.aside(
                cut(f"  {result}" if same_line else f"  {mark} {name} {result[2:]}", self._columns()), style
            )
        self.pause()
        self.terminal.end_line()
        self._doing("waiting for the answer")

    def _begin_anew(self, why: str) -> None:
        self._printed.clear()
        self._thoughts.clear()
        self.pause()
        self.terminal.end_line()
        self.terminal.notice(why)
