"""Writing to a person and to a pipe.

The answer goes to stdout. Everything about the answer goes to stderr: dimmed asides and a status line with a spinner
only where a person sees both streams, notices always.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from webedt.cli.errors import OutputClosed

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_SPINNER = "|/-\\"
FRAME_SECONDS = 0.1
ERASE_LINE = "\r\x1b[K"


class Terminal:
    """Two streams and the knowledge of where their shared cursor stands. Raises OutputClosed when stdout's reader left.

    Needs a running event loop only while a status is shown.
    """

    def __init__(self, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> None:
        self._out = out
        self._err = err
        self._out_is_terminal = out.isatty()
        self.interactive = self._out_is_terminal and err.isatty() and environ.get("TERM") != "dumb"
        self._colours = self.interactive and not environ.get("NO_COLOR")
        self._at_line_start = True
        self._spinner = Spinner(err)

    def text(self, text: str) -> None:
        """A piece of the answer, as it comes."""
        self._spinner.hide()
        # An answer is not trusted with the terminal: its control sequences stay out of it, but pass through a pipe.
        self._write_out(printable(text) if self._out_is_terminal else text)

    def aside(self, text: str) -> None:
        """A piece of something beside the answer, dimmed; a person sees it, a pipe does not."""
        if self.interactive and text:
            self._spinner.hide()
            shown = printable(text)
            self._write_err(f"\x1b[2m{shown}\x1b[22m" if self._colours else shown)
            self._at_line_start = shown.endswith("\n")

    def aside_line(self, text: str) -> None:
        """The same, on a line of its own."""
        if self.interactive:
            self.end_line()
            self.aside(f"{text}\n")

    def notice(self, text: str) -> None:
        """A line on stderr that everybody is to see."""
        self._spinner.hide()
        if self._out_is_terminal:
            self.end_line()
        self._write_err(f"webedt: {printable(text)}\n")

    def end_line(self) -> None:
        """Go to the start of a line, unless the cursor is there."""
        self._spinner.hide()
        if not self._at_line_start:
            self._write_out("\n")

    def status(self, text: str) -> None:
        """What is being waited for, with a spinner and the seconds; shown only at the start of a line."""
        if self.interactive and self._at_line_start:
            self._spinner.show(printable(text))

    def close(self) -> None:
        """Remove the status line."""
        self._spinner.hide()

    def _write_out(self, text: str) -> None:
        if text:
            try:
                self._out.write(text)
                self._out.flush()
            except BrokenPipeError as error:
                raise OutputClosed from error
            self._at_line_start = text.endswith("\n")

    def _write_err(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()


class Spinner:
    """One line that is redrawn until it is hidden."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._frames = SPINNER if "utf" in (getattr(stream, "encoding", None) or "").lower() else PLAIN_SPINNER
        self._text = ""
        self._since = 0.0
        self._next: asyncio.TimerHandle | None = None

    def show(self, text: str) -> None:
        """Show `text`, or change what is shown; the seconds go on counting."""
        self._text = text
        if self._next is None:
            self._since = time.monotonic()
            self._draw()

    def hide(self) -> None:
        """Leave an empty line behind. Does nothing when nothing is shown."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
            self._put(ERASE_LINE)

    def _draw(self) -> None:
        seconds = time.monotonic() - self._since
        frame = self._frames[int(seconds / FRAME_SECONDS) % len(self._frames)]
        line = f"{frame} {self._text} · {seconds:.0f} s" if seconds >= 1 else f"{frame} {self._text}"
        self._put(ERASE_LINE + line[: shutil.get_terminal_size().columns - 1])
        self._next = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._draw)

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def standard_terminal(environ: Mapping[str, str]) -> Terminal:
    """The process's own streams; what their encoding lacks becomes `?` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    return Terminal(sys.stdout, sys.stderr, environ)


def printable(text: str) -> str:
    """`text` without control characters other than line feed and tab, so that it cannot steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or not (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0))
