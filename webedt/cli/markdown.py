"""Markdown on a terminal while it is still being written: text goes in in pieces, what can be shown comes out.

Owns what a line is (heading, item, quotation, code, rule, row of a table); `inline` knows what is inside it, `wrap` how
it is broken. Pure, and it only adds: however the text is cut into pieces, the screen is the same in the end. A line
break of the source is one on the screen. Code stands exactly as it was written, its fences included.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from webedt.cli.inline import read_inline
from webedt.cli.safe_text import printable
from webedt.cli.styles import CODE, DIM, HEADING, LINK
from webedt.cli.width import text_width
from webedt.cli.wrap import Wrapper

LONGEST_RULE = 60
# What a line begins with, once the character that follows is known.
_QUOTE = re.compile(r" {0,3}> ?")
_HEADING = re.compile(r" {0,3}(#{1,6}) +")
_ITEM = re.compile(r"( *)([-*+]|\d{1,9}[.)])( +)(?:\[([ xX])\] +)?")
_RULE = re.compile(r" {0,3}(?:(?:-[ ]*){3,}|(?:\*[ ]*){3,}|(?:_[ ]*){3,})")
_FENCE = re.compile(r" *(`{3,}|~{3,})([^`]*)")
_INDENT = re.compile(r" *")
# Lines that may still become one of these with the next character.
_UNDECIDED = re.compile(
    r" *(?:#{1,6} *|[-*_ ]+|[-*+] +\[[ xX]?\]? *|\d{1,9}(?:[.)](?: +(?:\[[ xX]?\]? *)?)?)?|[+]|> ?|`+[^`]*|~+.*|\|.*|)"
)
_MAYBE_CLOSING = re.compile(r" *(?:`*|~*) *")


@dataclass(slots=True)
class _Line:
    """The line that is being written: the style of its text, and whether it is shown as it stands."""

    style: int = 0
    verbatim: bool = False


class MarkdownRenderer:
    """One message. Without `styled` the marks of Markdown stay, and only long lines are broken."""

    def __init__(self, columns: Callable[[], int], *, styled: bool) -> None:
        self._wrapper = Wrapper(columns, styled=styled)
        self._columns = columns
        self._styled = styled
        self._rest = ""
        self._before = ""
        self._line: _Line | None = None
        self._quotes = 0
        self._fence = ""
        self._blank_lines = 0

    def feed(self, text: str) -> str:
        """What to write now that `text` has come; the terminal's style is plain before and after it."""
        self._rest += printable(text)
        while True:
            end = self._rest.find("\n")
            if end < 0:
                self._read(self._rest, final=False)
                return self._wrapper.take()
            self._rest, following = self._rest[:end], self._rest[end + 1 :]
            self._read(self._rest, final=True)
            self._end_line()
            self._rest = following

    def finish(self) -> str:
        """What was held back: nothing follows, or something else comes in between. Ends no line."""
        if self._rest or self._line:
            self._read(self._rest, final=True)
        self._wrapper.flush_word()
        self._rest, self._before, self._line, self._quotes, self._blank_lines = "", "", None, 0, 0
        return self._wrapper.take()

    def _read(self, text: str, *, final: bool) -> None:
        """Take from the unread rest of a line what can be decided; `final` if the line ends there."""
        if self._line is None:
            text = self._begin(text, final=final)
        if self._line is None:
            self._rest = text
            return
        line = self._line
        if line.verbatim or not self._styled:
            (self._wrapper.verbatim if line.verbatim else self._wrapper.put)(line.style, text)
            self._rest = ""
            return
        spans, used = read_inline(text, before=self._before, final=final)
        for style, part in spans:
            self._wrapper.put(style | line.style, part)
        if used:
            self._before = text[used - 1]
        self._rest = text[used:]

    def _end_line(self) -> None:
        if self._line is None and not self._quotes:
            self._blank_lines += 1
        else:
            self._wrapper.end_line()
        self._before, self._line, self._quotes = "", None, 0

    def _begin(self, text: str, *, final: bool) -> str:
        """Decide what the line is, write its beginning, and return the rest; nothing happens while it is open."""
        if self._fence:
            return self._begin_code(text, final=final)
        if not final and _UNDECIDED.fullmatch(text):
            return text
        if not text.strip() and not self._quotes:
            return text
        self._write_blank_lines()
        if quote := _QUOTE.match(text):
            self._quotes += 1
            return self._begin(text[quote.end() :], final=final)
        if fence := _FENCE.fullmatch(text):
            self._fence = fence[1]
            self._start("", "", _Line(DIM, verbatim=True))
            return text
        if text.lstrip().startswith("|"):
            self._start("", "", _Line())
            return self._table_row(text)
        if _RULE.fullmatch(text):
            self._start("", "", _Line(DIM))
            return "─" * min(self._columns(), LONGEST_RULE) if self._styled else text
        if heading := _HEADING.match(text):
            marks = "" if self._styled else heading[0]
            self._start(marks, "", _Line(HEADING | (LINK if len(heading[1]) == 1 else 0)))
            return text[heading.end() :]
        if item := _ITEM.match(text):
            self._start(*self._item_prefix(item), _Line())
            return text[item.end() :]
        indent = _INDENT.match(text)
        spaces = indent[0] if indent else ""
        self._start(spaces, spaces, _Line())
        return text[len(spaces) :]

    def _begin_code(self, text: str, *, final: bool) -> str:
        if not final and _MAYBE_CLOSING.fullmatch(text):
            return text
        self._write_blank_lines()
        closes = final and text.strip().startswith(self._fence) and not text.strip().strip(self._fence[0])
        self._line = _Line(DIM if closes else CODE, verbatim=True)
        if closes:
            self._fence = ""
        return text

    def _start(self, first: str, rest: str, line: _Line) -> None:
        quotes = ("│ " if self._styled else "> ") * self._quotes
        self._wrapper.begin_line((DIM, quotes + first), (DIM, quotes + rest))
        if self._quotes and not line.verbatim:
            line.style |= DIM
        self._line = line

    def _item_prefix(self, item: re.Match[str]) -> tuple[str, str]:
        marker, box = item[2], item[4]
        if self._styled:
            marker = "•" if marker in "-*+" else marker
            task = "" if box is None else ("☐ " if box == " " else "☑ ")
        else:
            task = "" if box is None else f"[{box}] "
        first = f"{item[1]}{marker} {task}"
        return first, " " * text_width(first)

    def _table_row(self, text: str) -> str:
        """Rows are not broken: their columns would no longer stand below each other."""
        if not self._styled:
            self._wrapper.verbatim(0, text)
            return ""
        heads = bool(set(text) <= set("|:- "))
        for style, part in read_inline(text, before="", final=True)[0]:
            self._wrapper.verbatim(style | (DIM if heads else 0), part)
        return ""

    def _write_blank_lines(self) -> None:
        for _ in range(self._blank_lines):
            self._wrapper.end_line()
        self._blank_lines = 0


class PlainRenderer:
    """The same for text that is no Markdown, in one style: thinking, say."""

    def __init__(self, columns: Callable[[], int], *, styled: bool, style: int) -> None:
        self._wrapper = Wrapper(columns, styled=styled)
        self._style = style

    def feed(self, text: str) -> str:
        """What to write now that `text` has come."""
        first, *others = printable(text).split("\n")
        self._wrapper.put(self._style, first)
        for line in others:
            self._wrapper.end_line()
            self._wrapper.put(self._style, line)
        return self._wrapper.take()

    def finish(self) -> str:
        """What was held back."""
        self._wrapper.flush_word()
        return self._wrapper.take()
