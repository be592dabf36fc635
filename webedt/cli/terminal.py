"""Writing to a person and to a pipe.

The answer goes to stdout. Everything about the answer goes to stderr: asides and the progress line only where a person
sees both streams, notices always. Where both are the same terminal, one stream is used, so that order is kept.
"""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from typing import TextIO

from webedt.cli.errors import OutputClosed
from webedt.cli.live_line import LiveLine
from webedt.cli.progress import Progress
from webedt.cli.safe_text import printable
from webedt.cli.styles import DIM, styled
from webedt.cli.wrap import Wrapper

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_SPINNER = "|/-\\"
FRAME_SECONDS = 0.1


class Terminal:
    """Two streams and the knowledge of where their shared cursor stands. Raises OutputClosed when stdout's reader left.

    `seen`: a person reads stdout. `interactive`: and the cursor can be moved there. `styled`: and text may have styles.
    Needs a running event loop only while progress is shown.
    """

    def __init__(self, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> None:
        self._out = out
        self._err = err
        self.seen = out.isatty()
        self.interactive = self.seen and err.isatty() and environ.get("TERM") != "dumb"
        self.styled = self.interactive and not environ.get("NO_COLOR")
        self._live = LiveLine()
        self._frames = SPINNER if "utf" in (getattr(out, "encoding", None) or "").lower() else PLAIN_SPINNER
        self._frame = 0
        self._progress: Progress | None = None
        self._next: asyncio.TimerHandle | None = None

    @property
    def columns(self) -> int:
        """As wide as it is now."""
        return shutil.get_terminal_size().columns

    @property
    def room(self) -> int:
        """Columns left on the line that is being written."""
        return self.columns - self._live.column

    def text(self, text: str) -> None:
        """A piece of the answer, as it comes."""
        self.rendered(printable(text))

    def rendered(self, text: str) -> None:
        """Text that is known to be harmless, with styles or without."""
        if text:
            self._live.resize(self.columns)
            self._write_out(self._live.write(text))

    def aside(self, text: str, style: int = DIM) -> None:
        """A piece of something beside the answer, dimmed; a person sees it, a pipe does not."""
        if self.seen:
            self.rendered(styled(style, printable(text)) if self.styled else printable(text))

    def aside_line(self, text: str, style: int = DIM) -> None:
        """The same, on a line of its own."""
        if self.seen:
            self.end_line()
            self.aside(text, style)
            self.rendered("\n")

    def notice(self, text: str) -> None:
        """A line that everybody is to see, on stderr; broken between words where a person sees it."""
        line = f"webedt: {printable(text)}\n"
        if self.seen:
            self.end_line()
        if not self.interactive:
            self._err.write(line)
            self._err.flush()
            return
        wrapper = Wrapper(lambda: self.columns - 1, styled=False)
        wrapper.put(0, line.rstrip("\n"))
        wrapper.end_line()
        self.rendered(wrapper.take())

    def end_line(self) -> None:
        """Go to the start of a line, unless the cursor is there."""
        if self._live.column:
            self.rendered("\n")

    def show(self, progress: Progress) -> None:
        """Keep a line below the text that shows `progress`, from now on to `close`."""
        if self.interactive and self._progress is None:
            self._progress = progress
            self._draw()

    @property
    def showing(self) -> bool:
        """Whether there is a progress line."""
        return self._progress is not None

    def refresh(self) -> None:
        """Progress has changed in a way that is not to wait for the next frame."""
        if self._progress is not None:
            self._show_line(self._progress)

    def renew(self) -> None:
        """Somebody else wrote here meanwhile (the shell, while we were stopped): go on where the cursor is now."""
        self._live = LiveLine()

    def close(self) -> None:
        """Remove the progress line."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._progress is not None:
            self._progress = None
            self._live.resize(self.columns)
            self._write_out(self._live.hide())

    def _draw(self) -> None:
        self._frame += 1
        self.refresh()
        self._next = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._draw)

    def _show_line(self, progress: Progress) -> None:
        columns = self.columns
        self._live.resize(columns)
        line = progress.line(columns - 3)
        frame = "?" if progress.question else self._frames[self._frame % len(self._frames)]
        self._write_out(self._live.show(f"{frame} {line}"))

    def _write_out(self, text: str) -> None:
        if text:
            try:
                self._out.write(text)
                self._out.flush()
            except BrokenPipeError as error:
                raise OutputClosed from error


def standard_terminal(environ: Mapping[str, str]) -> Terminal:
    """The process's own streams; what their encoding lacks becomes `?` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    return Terminal(sys.stdout, sys.stderr, environ)
