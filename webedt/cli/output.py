"""What commands print that do not follow a run: lines for people, JSON for programs, tables that fit."""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from webedt.cli.safe_text import json_line, one_line
from webedt.cli.terminal import Terminal, standard_terminal
from webedt.cli.width import cut, pad, text_width
from webedt.client import RunReference

GAP = "  "


def terminal() -> Terminal:
    """The process's own streams."""
    return standard_terminal(os.environ)


def print_json(value: Any) -> None:
    """One object on one line."""
    terminal().rendered(json_line(json.dumps(value, ensure_ascii=False)) + "\n")


def print_line(text: str) -> None:
    """A line of text, made harmless."""
    terminal().rendered(one_line(text) + "\n")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose last column takes what room is left. A person gets one line a row, a pipe gets all of it."""
    to = terminal()
    lines = [[one_line(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(text_width(line[column]) for line in lines) for column in range(len(heads) - 1)]
    for number, line in enumerate(lines):
        cells = [pad(cell, width) for cell, width in zip(line, widths, strict=False)]
        shown = GAP.join([*cells, line[-1]]).rstrip()
        if to.seen:
            shown = cut(shown, to.columns)
        if number or not to.styled:
            to.rendered(f"{shown}\n")
        else:
            to.aside(f"{shown}\n")


def print_run(run: RunReference, args: argparse.Namespace) -> None:
    """What was started: the session for programs that read stdout, and how to read it for people."""
    if args.json:
        print_json({"sessionId": run.session_id, "runId": run.run_id, "status": run.status})
        return
    print_line(run.session_id)
    terminal().notice(f"{run.status}; `webedt resume {run.session_id}` reads the answer")
