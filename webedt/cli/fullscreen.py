"""The whole screen for a while: the alternate buffer, without a cursor, given back on every way out."""

import os
import shutil
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TextIO

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
LEAVE = "\x1b[?25h\x1b[?1049l"
BEGIN, COMMIT = "\x1b[?2026h", "\x1b[?2026l"


class FullScreen:
    """A context manager. Keys come without echo; Ctrl-C stays a signal."""

    def __init__(self, out: TextIO, keys: int) -> None:
        self._out = out
        self._keys = keys
        self._settings: list[Any] | None = None

    def __enter__(self) -> Self:
        self._settings = termios.tcgetattr(self._keys)
        try:
            tty.setcbreak(self._keys, termios.TCSANOW)
            self._write(ENTER)
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        found = shutil.get_terminal_size()
        return found.columns, found.lines

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines from the top. Each is written over what stood there, so nothing flickers."""
        shown = "\r\n".join(f"{line}\x1b[K" for line in lines)
        self._write(f"{BEGIN}\x1b[H{shown}\x1b[J{COMMIT}")

    def _restore(self) -> None:
        if self._settings is not None:
            termios.tcsetattr(self._keys, termios.TCSANOW, self._settings)
            self._settings = None
            self._write(LEAVE)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def can_show() -> bool:
    """Whether there is a terminal on both sides that knows how."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
