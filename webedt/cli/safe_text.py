"""Text of strangers, made harmless for a terminal: an answer is text, never commands.

An escape sequence can write to the clipboard (OSC 52), change the title, move the cursor over what was said before, or
make the terminal type something. Each begins with a control character, so none is let through.
"""

import re

# C0 and C1 without line feed and tab, and the controls that reorder a line so that it reads as something else.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_INSIDE_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` with its control characters made visible (ESC becomes ␛), carriage returns dropped; safe to print.

    Character by character, so text may come in any pieces.
    """
    return text if text.isprintable() else _CONTROL.sub(_shown, text)


def one_line(text: str) -> str:
    """The same, on one line, with single spaces."""
    return " ".join(printable(text).split())


def json_line(text: str) -> str:
    """JSON whose strings nobody's terminal acts upon either: what JSON leaves raw is escaped, and nothing is lost."""
    return _INSIDE_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0D:
        return ""
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
