"""Styles of text on a terminal as bits, and the escape sequences that switch between them."""

BOLD, ITALIC, CODE, LINK, DIM, STRIKE, HEADING, GOOD, BAD = (1 << bit for bit in range(9))

_CODES = {
    BOLD: "1",
    ITALIC: "3",
    CODE: "36",
    LINK: "4",
    DIM: "2",
    STRIKE: "9",
    HEADING: "1;35",
    GOOD: "32",
    BAD: "31",
}


def switch_to(style: int) -> str:
    """The sequence after which text has this style and no other; 0 is plain."""
    codes = [code for bit, code in _CODES.items() if style & bit]
    return f"\x1b[{';'.join(['0', *codes])}m" if codes else "\x1b[0m"


def styled(style: int, text: str) -> str:
    """`text` in this style, plain before and after it."""
    return f"{switch_to(style)}{text}\x1b[0m" if text else ""
