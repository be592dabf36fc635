"""What a tool was asked and what it answered, each in a few words. Pure."""

import json
from typing import Any

from webedt.cli.safe_text import one_line

# What says most about a call, whatever the tool.
TELLING = ("command", "cmd", "path", "file_path", "pattern", "query", "url", "prompt", "description")


def call_summary(name: Any, given: Any) -> str:
    """`bash: pytest -q`."""
    said = one_line(str(name or "tool"))
    argument = _argument(given)
    return f"{said}: {argument}" if argument else said


def result_summary(text: str) -> str:
    """The last line that says something (a command's verdict is there), and how many there were."""
    lines = [line for line in map(one_line, text.split("\n")) if line]
    if not lines:
        return ""
    return lines[0] if len(lines) == 1 else f"{lines[-1]} ({len(lines)} lines)"


def block_text(content: Any, kind: str = "text") -> str:
    """The text of the blocks of one kind; `content` is a list of content blocks or a string."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    blocks = content if isinstance(content, list) else []
    return "".join(str(b.get(kind) or "") for b in blocks if isinstance(b, dict) and b.get("type") == kind)


def _argument(given: Any) -> str:
    if not isinstance(given, dict):
        return one_line(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)) if given else ""
    telling = [given[name] for name in TELLING if isinstance(given.get(name), str) and given[name].strip()]
    if telling:
        return one_line(telling[0])
    return one_line(json.dumps(given, ensure_ascii=False)) if given else ""
