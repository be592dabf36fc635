"""The tables of `docs/scaling.md`, each between two marks, made by `scripts/capacity --write`."""

from collections.abc import Mapping
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"


def between(text: str, mark: str) -> str:
    """Raises `ValueError` where there are no such marks."""
    _head, content, _tail = _parts(text, mark)
    return content


def write_into(document: Path, contents: Mapping[str, str]) -> None:
    text = document.read_text()
    for mark, content in contents.items():
        head, _old, tail = _parts(text, mark)
        text = head + content + tail
    document.write_text(text)


def _parts(text: str, mark: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {mark} -->\n\n", f"\n\n<!-- /{mark} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"there is no place for {mark}")
    head, _, rest = text.partition(begin)
    content, _, tail = rest.partition(end)
    return head + begin, content, end + tail
