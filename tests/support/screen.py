"""A terminal as small as our programs need: text goes in as they write it, what a person would see comes out.

Knows only the sequences that we use, and fails at any other: whatever else arrives would be somebody else's.
"""

import re

from webedt.cli.width import char_width

_TOKEN = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([\x00-\x1f\x7f-\x9f])|([^\x00-\x1f\x7f-\x9f]+)", re.DOTALL)
TAB = 8

Cell = tuple[str, str]
BLANK: Cell = (" ", "")


class Screen:
    """`rows` are all lines there ever were, the last `lines` of them are on the screen. A cell is (text, style)."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.columns = columns
        self.lines = lines
        self.rows: list[list[Cell]] = [[]]
        self.row = 0
        self.column = 0
        self.style = ""
        self.modes: set[str] = set()
        self._saved: tuple[list[list[Cell]], int, int] | None = None

    def feed(self, text: str) -> "Screen":
        """What the program wrote, after the kernel made CR LF of its LF."""
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            assert token is not None, f"not one of ours: {text[position : position + 20]!r}"
            position = token.end()
            private, number, letter, control, plain = token.groups()
            if plain:
                for char in plain:
                    self._put(char)
            elif control:
                self._control(control)
            else:
                self._sequence(private, number, letter)
        return self

    def text(self) -> str:
        """All lines, without the blanks at their ends."""
        return "\n".join("".join(char for char, _ in row).rstrip() for row in self.rows).rstrip("\n")

    def styled(self) -> list[list[Cell]]:
        """The same with styles: blanks at the ends are removed, whatever their style."""
        rows = [list(row) for row in self.rows]
        for row in rows:
            while row and row[-1][0] == " ":
                row.pop()
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def last_line(self) -> str:
        return self.text().rpartition("\n")[2]

    def _put(self, char: str) -> None:
        width = char_width(char)
        if width == 0:
            row = self.rows[self.row]
            if row and self.column:
                row[self.column - 1] = (row[self.column - 1][0] + char, row[self.column - 1][1])
            return
        if self.column + width > self.columns:
            self.column = 0
            self._down()
        row = self.rows[self.row]
        row.extend([BLANK] * (self.column + width - len(row)))
        row[self.column : self.column + width] = [(char, self.style), *[("", self.style)] * (width - 1)]
        self.column += width

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def _control(self, char: str) -> None:
        match char:
            case "\n":
                self.column = 0
                self._down()
            case "\r":
                self.column = 0
            case "\t":
                self.column = min(self.columns - 1, (self.column // TAB + 1) * TAB)
            case _:
                raise AssertionError(f"a control character reached the terminal: {char!r}")

    def _sequence(self, private: str, number: str, letter: str) -> None:
        count = int(number) if number.isdigit() else 1
        match private + letter:
            case "m":
                self.style = "" if number == "0" else number
            case "A":
                self.row = max(0, len(self.rows) - self.lines, self.row - count)
            case "B":
                self.row = min(len(self.rows) - 1, self.row + count)
            case "G":
                self.column = min(self.columns, count) - 1
            case "H":
                self.row, self.column = max(0, len(self.rows) - self.lines), 0
            case "K":
                del self.rows[self.row][self.column :]
            case "J":
                del self.rows[self.row][self.column :]
                if number != "2":
                    del self.rows[self.row + 1 :]
            case "?h" | "?l":
                self._mode(number, on=letter == "h")
            case other:
                raise AssertionError(f"not one of our sequences: {other} {number}")

    def _mode(self, number: str, *, on: bool) -> None:
        assert number in {"2026", "1049", "25"}, f"not one of our modes: {number}"
        (self.modes.add if on else self.modes.discard)(number)
        if number == "1049" and on:
            self._saved = (self.rows, self.row, self.column)
            self.rows, self.row, self.column = [[]], 0, 0
        elif number == "1049" and self._saved is not None:
            self.rows, self.row, self.column = self._saved
