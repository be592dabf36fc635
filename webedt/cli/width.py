"""How many columns text takes on a terminal. Where terminals disagree (emoji sequences) it counts the most of them."""

import unicodedata
from functools import lru_cache

ELLIPSIS = "…"


def text_width(text: str) -> int:
    """Columns of `text`, which holds no control characters."""
    return len(text) if text.isascii() else sum(map(char_width, text))


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """0 for what joins the character before it, 2 for wide ones (CJK, emoji), else 1."""
    if char < "\x7f":
        return 1
    if char == "\ufe0f":
        return 1  # asks for the coloured form of the character before it, which is wide
    category = unicodedata.category(char)
    # The format characters below these are visible: the soft hyphen, Arabic number signs.
    if category in {"Mn", "Me"} or (category == "Cf" and char >= "\u200b"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """`text` in at most so many columns, with an ellipsis where something is missing."""
    if text_width(text) <= columns:
        return text
    kept, used = "", 0
    for char in text:
        used += char_width(char)
        if used > columns - 1:
            break
        kept += char
    return kept.rstrip() + ELLIPSIS if columns > 0 else ""


def pad(text: str, columns: int) -> str:
    """`text` followed by spaces up to so many columns."""
    return text + " " * (columns - text_width(text))
