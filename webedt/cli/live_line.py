"""A line below the text that is always the last one on the screen, while text goes on above it.

Pure: knows where the cursor stands, and says what to write. Text that stays on its line is written without touching the
live line, everything else as one piece, so nothing flickers. Terminals that know how are told to show it at once.
"""

import re

from webedt.cli.width import char_width, cut, text_width

_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")
ERASE = "\r\x1b[K"
BEGIN, COMMIT = "\x1b[?2026h", "\x1b[?2026l"
TAB = 8


class LiveLine:
    """The text's cursor is in `column`; the live line stands there if that is 0, else on the line below."""

    def __init__(self) -> None:
        self.column = 0
        self._shown: str | None = None
        self._columns = 80

    @property
    def shown(self) -> bool:
        return self._shown is not None

    def resize(self, columns: int) -> None:
        """The terminal has so many columns now. Call before each of the others."""
        self._columns = max(1, columns)

    def write(self, text: str) -> str:
        """Text above the live line. It may hold styles (SGR), tabs and line feeds, and no other control characters."""
        if self._shown is None:
            self._advance(text)
            return text
        if self._fits_on_line(text):
            column = self.column
            self._advance(text)
            back = text_width(self._shown) + 1
            return f"\x1b[A\x1b[{column + 1}G{text}\r\x1b[B\x1b[{back}G"
        shown, full = self._shown, self.column == self._columns
        hidden = self.hide()
        # Behind a full line the cursor went to the next one already.
        written = self.write(text.removeprefix("\n") if full else text)
        return f"{BEGIN}{hidden}{written}{self.show(shown)}{COMMIT}"

    def show(self, line: str) -> str:
        """Show `line`, which holds no control characters and is cut to fit, in place of what was shown."""
        line = cut(line, self._columns - 1)
        if line == self._shown:
            return ""
        start = self._to_start() if self.shown else "\n" if self.column else ""
        self._shown = line
        return f"{start}\r{line}\x1b[K"

    def hide(self) -> str:
        """Remove it and go back to the end of the text."""
        if self._shown is None:
            return ""
        start = self._to_start() + ERASE
        self._shown = None
        if not self.column:
            return start
        # A line that is full to the last column has no place behind it to go back to.
        self.column = (self.column - 1) % self._columns + 1
        if self.column == self._columns:
            self.column = 0
            return start
        return f"{start}\x1b[A\x1b[{self.column + 1}G"

    def _to_start(self) -> str:
        """A terminal that was made narrower has broken the line in several; go to the first of them."""
        extra = (text_width(self._shown or "") - 1) // self._columns
        return f"\x1b[{extra}A\r\x1b[J" if extra > 0 else ""

    def _fits_on_line(self, text: str) -> bool:
        if not self.column or "\n" in text or "\t" in text or text_width(self._shown or "") >= self._columns:
            return False
        return self.column + text_width(_SEQUENCE.sub("", text)) < self._columns

    def _advance(self, text: str) -> None:
        *_, last = text.rpartition("\n")
        if "\n" in text:
            self.column = 0
        for char in _SEQUENCE.sub("", last):
            if char == "\t":
                self.column = max(self.column, min(self._columns - 1, (self.column // TAB + 1) * TAB))
                continue
            width = char_width(char)
            self.column = self.column + width if self.column + width <= self._columns else width
