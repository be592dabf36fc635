"""Markdown inside a line: emphasis, code, links. Reads a line that is still being written.

A decision once made never changes: what a later character could still turn into something else is not read yet. So the
line gives the same spans however it arrives. What never closes is what it says: an asterisk. More careful than
CommonMark with what is mostly code in prose: `a*b*c`, `__init__` and `snake_case` are not emphasis.
"""

import re

from webedt.cli.styles import BOLD, CODE, DIM, ITALIC, LINK, STRIKE

# Something that opens is given up on when nothing closes it so many characters later.
LONGEST_SPAN = 800
_PLAIN = re.compile(r"[^\\`*_~\[!<]+")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")

Span = tuple[int, str]


class _Undecided(Exception):
    """The characters that decide have not come yet."""


def read_inline(text: str, *, before: str, final: bool) -> tuple[list[Span], int]:
    """The spans that `text` begins with, and how many of its characters they stand for: all of them if `final`.

    `text` is the rest of a line behind the character `before` (empty at its beginning).
    """
    line = _Line(before, text, final=final)
    position = len(before)
    spans: list[Span] = []
    while position < line.end:
        try:
            found, position = line.next_spans(position, 0)
        except _Undecided:
            break
        spans += found
    return spans, position - len(before)


class _Line:
    def __init__(self, before: str, text: str, *, final: bool) -> None:
        self._text = before + text
        self.end = len(self._text)
        self._final = final

    def _char(self, position: int) -> str:
        """The character there, or nothing beyond the end of the line."""
        if position < self.end:
            return self._text[position]
        if not self._final:
            raise _Undecided
        return ""

    def _run(self, position: int) -> int:
        """How often the character there is repeated."""
        char, length = self._text[position], 1
        while self._char(position + length) == char:
            length += 1
        return length

    def _inside(self, start: int, end: int, style: int) -> list[Span]:
        part = _Line("", "", final=True)
        part._text, part.end = self._text, end
        spans: list[Span] = []
        while start < end:
            found, start = part.next_spans(start, style)
            spans += found
        return spans

    def next_spans(self, at: int, style: int) -> tuple[list[Span], int]:
        """What stands at `at`, and where it ends."""
        plain = _PLAIN.match(self._text, at, self.end)
        if plain:
            return [(style, plain[0])], plain.end()
        char = self._text[at]
        if char == "\\":
            following = self._char(at + 1)
            escaped = following in _PUNCTUATION
            return ([(style, following)], at + 2) if following and escaped else ([(style, char)], at + 1)
        if char == "`":
            return self._code(at, style)
        if char in "*_~":
            return self._emphasis(at, style)
        if char == "<":
            return self._autolink(at, style)
        return self._link(at, style)

    def _code(self, at: int, style: int) -> tuple[list[Span], int]:
        length = self._run(at)
        closing = self._closing_ticks(at + length, length)
        if closing is None:
            return [(style, "`" * length)], at + length
        inside = self._text[at + length : closing]
        if len(inside) > 2 and inside[0] == inside[-1] == " " and inside.strip():
            inside = inside[1:-1]
        return [(style | CODE, inside)], closing + length

    def _closing_ticks(self, start: int, length: int) -> int | None:
        at = start
        while at < start + LONGEST_SPAN and (char := self._char(at)):
            if char == "`":
                run = self._run(at)
                if run == length:
                    return at
                at += run
            else:
                at += 1
        return None

    def _emphasis(self, at: int, style: int) -> tuple[list[Span], int]:
        char, length = self._text[at], self._run(at)
        literal = [(style, char * length)], at + length
        following, preceding = self._char(at + length), self._text[at - 1 : at] if at else ""
        fits = length == 2 if char == "~" else length <= 3
        inside_word = preceding.isalnum() and (char == "_" or length == 1)
        if not fits or not following or following.isspace() or inside_word:
            return literal
        closing = self._closing_run(at + length, char, length)
        if closing is None or (char == "_" and length == 2 and self._text[at + 2 : closing].isidentifier()):
            return literal
        added = STRIKE if char == "~" else {1: ITALIC, 2: BOLD, 3: BOLD | ITALIC}[length]
        return self._inside(at + length, closing, style | added), closing + length

    def _closing_run(self, start: int, char: str, length: int) -> int | None:
        at = start
        while at < start + LONGEST_SPAN and (found := self._char(at)):
            if found == "\\":
                at += 2
            elif found == "`":
                run = self._run(at)
                code_end = self._closing_ticks(at + run, run)
                at = at + run if code_end is None else code_end + run
            elif found == char:
                run = self._run(at)
                closes = run >= length and not (length == 1 and run == 2) and not self._text[at - 1].isspace()
                if closes and at > start and not (char == "_" and self._char(at + run).isalnum()):
                    return at + run - length
                at += run
            else:
                at += 1
        return None

    def _autolink(self, at: int, style: int) -> tuple[list[Span], int]:
        end = at + 1
        while end < at + LONGEST_SPAN and (char := self._char(end)) and not char.isspace() and char not in "<>":
            end += 1
        url = self._text[at + 1 : end]
        if self._char(end) == ">" and url.startswith(("https://", "http://", "mailto:")):
            return [(style | LINK, url)], end + 1
        return [(style, "<")], at + 1

    def _link(self, at: int, style: int) -> tuple[list[Span], int]:
        """`[text](url)`, and `![text](url)` for a picture, which is a link here."""
        start = at
        if self._text[at] == "!":
            if self._char(at + 1) != "[":
                return [(style, "!")], at + 1
            start += 1
        middle = self._matching(start, "[", "]")
        end = self._matching(middle + 1, "(", ")") if middle is not None and self._char(middle + 1) == "(" else None
        if middle is None or end is None:
            return [(style, self._text[at])], at + 1
        url = self._text[middle + 2 : end].split(' "')[0].strip(" <>")
        shown = self._text[start + 1 : middle]
        if not url or url.startswith("#") or url in (shown, f"mailto:{shown}"):
            return self._inside(start + 1, middle, style | LINK), end + 1
        # Whoever follows a link shall see where it leads, so the address is not hidden behind the text.
        address: Span = (style | DIM, f" ({url})" if shown else url)
        return [*self._inside(start + 1, middle, style | LINK), address], end + 1

    def _matching(self, start: int, opening: str, closing: str) -> int | None:
        depth, at = 0, start
        while at < start + LONGEST_SPAN and (char := self._char(at)):
            if char == "\\":
                at += 1
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    return at
            at += 1
        return None
