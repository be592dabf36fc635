"""Writing styled text line by line, broken between words. Only ever adds to what was written: nothing is redrawn.

A word is written when it is known to be complete, so a word never has to move to the next line afterwards.
"""

import re
from collections.abc import Callable

from webedt.cli.styles import switch_to
from webedt.cli.width import char_width, text_width

_PIECES = re.compile(r" +|[^ ]+")
NARROWEST = 10


class Wrapper:
    """`columns` is asked anew for each word: the terminal may change its size. Not `styled`: no sequence is written."""

    def __init__(self, columns: Callable[[], int], *, styled: bool) -> None:
        self._columns = columns
        self._styled = styled
        self._written: list[str] = []
        self._style = 0
        self._column = 0
        self._indent: tuple[int, str] = (0, "")
        self._indent_width = 0
        self._word: list[tuple[int, str]] = []
        self._word_width = 0
        self._spaces: tuple[int, int] = (0, 0)
        self._overlong = False

    def begin_line(self, first: tuple[int, str], rest: tuple[int, str]) -> None:
        """Start a line with `first`; where it is broken it goes on behind `rest`. Both are (style, text)."""
        self._write(*first)
        self._indent = rest
        self._indent_width = text_width(rest[1])

    def put(self, style: int, text: str) -> None:
        """Add text without line ends to the line, broken where it must be."""
        for piece in _PIECES.findall(text.replace("\t", "    ")):
            if piece[0] == " ":
                self._end_word()
                self._spaces = (style, self._spaces[1] + len(piece))
            elif piece.isascii():
                self._end_wide()
                self._add_to_word(style, piece, len(piece))
            else:
                self._put_wide(style, piece)

    def _put_wide(self, style: int, piece: str) -> None:
        for char in piece:
            width = char_width(char)
            # A line may be broken on both sides of a wide character; what is zero wide belongs to the one before it.
            if width == 2:
                self._end_word()
            elif width:
                self._end_wide()
            self._add_to_word(style, char, width)

    def _end_wide(self) -> None:
        """However the text comes in: what follows a wide character is not of its word."""
        if self._word and char_width(self._word[-1][1][0]) == 2:
            self._end_word()

    def verbatim(self, style: int, text: str) -> None:
        """Add text as it is; a line that is too long is for the terminal to break, so that it can be copied whole."""
        self._end_word()
        self._write_spaces()
        self._write(style, text)

    def end_line(self) -> None:
        """End the line; spaces at its end are not written."""
        self._end_word()
        self._spaces = (0, 0)
        self._write(0, "\n")
        self._column = 0
        self._indent, self._indent_width = (0, ""), 0

    def flush_word(self) -> None:
        """Write what is held back: nothing follows."""
        self._end_word()

    def take(self) -> str:
        """What was written since the last time; behind it text is plain."""
        if self._style:
            self._written.append(switch_to(0))
            self._style = 0
        written = "".join(self._written)
        self._written.clear()
        return written

    def _add_to_word(self, style: int, text: str, width: int) -> None:
        if not self._overlong and self._word_width + width > self._room():
            self._overlong = True
            # The longest part that fits a line would depend on how the text came in; a word this long breaks anywhere.
            self._break_line_before_word(force=True)
        if self._overlong:
            self._flush_pieces()
            self._write(style, text)
        else:
            self._word.append((style, text))
            self._word_width += width

    def _room(self) -> int:
        return max(NARROWEST, self._columns() - self._indent_width)

    def _end_word(self) -> None:
        if self._word:
            self._break_line_before_word(force=False)
            self._flush_pieces()
        self._overlong = False

    def _break_line_before_word(self, *, force: bool) -> None:
        limit = max(self._columns(), self._indent_width + NARROWEST)
        fits = self._column + self._spaces[1] + self._word_width <= limit
        if (force or not fits) and self._column > self._indent_width:
            self._spaces = (0, 0)
            self._write(0, "\n")
            self._column = 0
            self._write(*self._indent)
        self._write_spaces()

    def _write_spaces(self) -> None:
        style, count = self._spaces
        self._spaces = (0, 0)
        self._write(style, " " * count)

    def _flush_pieces(self) -> None:
        for style, text in self._word:
            self._write(style, text)
        self._word.clear()
        self._word_width = 0

    def _write(self, style: int, text: str) -> None:
        if not text:
            return
        if self._styled and style != self._style:
            self._written.append(switch_to(style))
            self._style = style
        self._written.append(text)
        self._column += text_width(text)
