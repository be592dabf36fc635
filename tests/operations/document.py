"""The blocks of SQL in docs/operations.md."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def blocks() -> list[str]:
    return re.findall(r"^```sql\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def block_with(words: str) -> str:
    """The one that contains these words."""
    (found,) = [block for block in blocks() if words in block]
    return found
