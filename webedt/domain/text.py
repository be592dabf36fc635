"""Making any text safe to store: PostgreSQL refuses NUL, UTF-8 refuses unpaired surrogates.

Both become U+FFFD, the replacement character, before anything is stored (`api.md`, Conventions). Newlines, U+2028 and
the like stay: JSON escapes what would break an SSE frame.
"""

from typing import Any

REPLACEMENT = "\ufffd"
MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 100
# JSON Schema, for the description of texts that are refused when they are nothing but spaces.
NOT_BLANK = {"pattern": r"\S"}


def clean_text(text: str) -> str:
    """Return `text` with NUL and unpaired surrogates replaced by U+FFFD; paired surrogates are joined."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Round trip through UTF-16: a high surrogate followed by a low one is one character there, others are faults.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean_json(value: Any, depth: int = 0) -> Any:
    """Return a JSON value whose every string (keys too) is clean and whose every number survives a JavaScript reader.

    Integers beyond ±(2^53 - 1) become strings, not-a-number and infinities become null. Raises `ValueError` for what
    is not JSON or nested deeper than 100.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    match value:
        case str():
            return clean_text(value)
        case bool() | None:
            return value
        case int():
            return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)
        case float():
            return value if value - value == 0 else None
        case dict():
            return {clean_text(str(key)): clean_json(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [clean_json(item, depth + 1) for item in value]
    raise ValueError(f"{type(value).__name__} is not JSON")
