"""Markdown on a terminal: what a person sees, and that the way it arrives makes no difference."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.screen import Screen
from webedt.cli.markdown import MarkdownRenderer, PlainRenderer
from webedt.cli.styles import BOLD, CODE, DIM, HEADING, ITALIC, LINK, STRIKE, switch_to

SAMPLE = """# A heading with `code`

Text with **bold words**, *italic*, ***both***, ~~gone~~, `a ** b` and [a link](https://example.org/a_b(c)).
- an item that is so long that it has to be broken and hangs below its own beginning
  1. inside *it*
- [ ] to do
- [x] done
> quoted **text** that goes on and on until it is broken

```python
def f(*args):\t# **not bold**
    return "`"
```
~~~
``` inside
~~~

| a | `b` |
|---|:-:|
---
漢字かな混じり文、漢字かな混じり文、漢字かな混じり文 👩‍💻 end
2 * 3 * 4, snake_case_name, __init__, a*b*c, 5 < 6, \\*literal\\*, unclosed **bold and `code
"""

fragments = st.sampled_from(
    [
        *("*", "**", "_", "`", "``", "```", "~~", "[", "](", ")", "](u)", "<", "<https://x>", "!", "\\", "\n", "\r\n"),
        *(
            "# ",
            "- ",
            "1. ",
            "> ",
            "---",
            "|",
            "- [x] ",
            "  ",
            " ",
            "a",
            "word ",
            "漢字",
            "é",
            "\t",
            "long" * 12,
            "e\u0301",
        ),
        *("\x1b[2J", "\x07", "\x9b1m", "\u202e"),
    ]
)
documents = st.lists(fragments, max_size=40).map("".join)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def render(*pieces: str, columns: int = 40, styled: bool = True) -> str:
    renderer = MarkdownRenderer(lambda: columns, styled=styled)
    return "".join(renderer.feed(piece) for piece in pieces) + renderer.finish()


def seen(*pieces: str, columns: int = 40, styled: bool = True) -> Screen:
    return Screen(columns).feed(render(*pieces, columns=columns, styled=styled))


def style_of(screen: Screen, text: str) -> str:
    """The one style that all of `text` has, where it stands first."""
    for row in screen.styled():
        found = "".join(char or "\0" for char, _ in row).find(text)
        if found >= 0:
            [style] = {style for _, style in row[found : found + len(text)]}
            return style
    raise AssertionError(f"{text!r} is not there: {screen.text()!r}")


def sequence(style: int) -> str:
    return switch_to(style)[2:-1]


def test_a_document_looks_like_this() -> None:
    assert seen(SAMPLE).text().splitlines() == [
        "A heading with code",
        "",
        "Text with bold words, italic, both,",
        "gone, a ** b and a link",
        "(https://example.org/a_b(c)).",
        "• an item that is so long that it has to",
        "  be broken and hangs below its own",
        "  beginning",
        "  1. inside it",
        "• ☐ to do",
        "• ☑ done",
        "│ quoted text that goes on and on until",
        "│ it is broken",
        "",
        "```python",
        "def f(*args):   # **not bold**",
        '    return "`"',
        "```",
        "~~~",
        "``` inside",
        "~~~",
        "",
        "| a | b |",
        "|---|:-:|",
        "─" * 40,
        "漢字かな混じり文、漢字かな混じり文、漢字",
        "かな混じり文 👩‍💻 end",
        "2 * 3 * 4, snake_case_name, __init__,",
        "a*b*c, 5 < 6, *literal*, unclosed **bold",
        "and `code",
    ]


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("bold words", BOLD),
        ("italic", ITALIC),
        ("both", BOLD | ITALIC),
        ("gone", STRIKE),
        ("a ** b", CODE),
        ("a link", LINK),
        ("(https://example.org/a_b(c))", DIM),
        ("A heading with ", HEADING | LINK),
        ("code", HEADING | LINK | CODE),
        ("def f(*args):", CODE),
        ("```python", DIM),
        ("unclosed **bold", 0),
    ],
)
def test_what_is_marked_has_its_style(text: str, style: int) -> None:
    assert style_of(seen(SAMPLE, columns=200), text) == ("" if style == 0 else sequence(style))


def test_without_styles_the_marks_stay_and_no_sequence_is_written() -> None:
    plain = render(SAMPLE, columns=200, styled=False)
    assert "\x1b" not in plain
    assert plain == SAMPLE


def test_any_way_of_arriving_gives_the_same_screen_for_the_sample() -> None:
    assert seen(*SAMPLE).styled() == seen(SAMPLE).styled()


@settings(max_examples=100, deadline=None)
@example(text="漢字" + "long" * 12, places=[], styled=False)  # broken behind the wide character, whoever sees it first
@given(text=documents, places=st.lists(st.integers(0, 10_000), max_size=8), styled=st.booleans())
def test_any_way_of_arriving_gives_the_same_screen(text: str, places: list[int], styled: bool) -> None:
    whole = seen(text, styled=styled).styled()
    assert seen(*cut(text, places), styled=styled).styled() == whole
    assert seen(*text, styled=styled).styled() == whole


@settings(max_examples=100, deadline=None)
@given(text=documents, places=st.lists(st.integers(0, 10_000), max_size=8))
def test_what_is_shown_is_never_taken_back_and_nothing_steers_the_terminal(text: str, places: list[int]) -> None:
    renderer = MarkdownRenderer(lambda: 40, styled=True)
    for piece in [*map(renderer.feed, cut(text, places)), renderer.finish()]:
        assert re.fullmatch(r"(?:\x1b\[[0-9;]+m|[^\x00-\x08\x0b-\x1f\x7f-\x9f])*", piece)
        assert not piece.rpartition("\x1b[")[1] or piece.rpartition("\x1b[")[2].startswith("0m")


@settings(max_examples=50, deadline=None)
@given(words=st.lists(st.text("ab漢é", min_size=1, max_size=9), min_size=1, max_size=40), columns=st.integers(10, 60))
def test_no_line_of_words_is_longer_than_the_terminal_and_no_word_is_lost(words: list[str], columns: int) -> None:
    screen = seen(" ".join(words), columns=columns)
    lines = render(" ".join(words), columns=columns).split("\n")
    assert len(lines) == len(screen.rows)  # the terminal had nothing to break
    assert "".join(screen.text().split()) == "".join(words)


def test_a_word_is_shown_as_soon_as_the_next_one_begins_and_code_at_once() -> None:
    renderer = MarkdownRenderer(lambda: 40, styled=False)
    assert renderer.feed("one two thr") == "one two"
    assert renderer.feed("ee ") == " three"
    assert renderer.feed("\n```\nx = ") == "\n```\nx = "
    assert renderer.feed("1") == "1"


def test_what_may_still_be_marked_waits_for_its_end() -> None:
    renderer = MarkdownRenderer(lambda: 40, styled=True)
    assert renderer.feed("a **b c") == "a"
    assert renderer.feed("** d") == f" {switch_to(BOLD)}b c{switch_to(0)}"
    assert renderer.finish() == " d"


def test_a_mark_that_never_closes_does_not_hold_back_the_rest() -> None:
    renderer = MarkdownRenderer(lambda: 40, styled=True)
    shown = renderer.feed("a `b " + "word " * 400)
    assert shown.startswith("a `b word")
    assert len(shown) > 1500


def test_the_width_is_asked_for_every_word() -> None:
    columns = 40
    renderer = MarkdownRenderer(lambda: columns, styled=False)
    shown = renderer.feed("word " * 8)
    columns = 20
    shown += renderer.feed("word " * 8) + renderer.finish()
    assert [len(line.split()) for line in shown.splitlines()] == [8, 4, 4]


def test_a_word_longer_than_the_line_is_left_whole_to_be_copied() -> None:
    url = "https://example.org/" + "x" * 60
    assert render(f"see {url} there").split("\n") == ["see", url, "there"]


def test_long_answers_are_rendered_in_no_time() -> None:
    hostile = ("*" * 50 + "[" * 50 + "`" * 3 + "a*_~[") * 40
    assert seen(*cut(hostile, list(range(0, len(hostile), 7)))).styled() == seen(hostile).styled()


def test_thinking_is_broken_and_styled_but_is_no_markdown() -> None:
    renderer = PlainRenderer(lambda: 20, styled=True, style=DIM)
    screen = Screen(20).feed(renderer.feed("why **not** go on\n- here") + renderer.finish())
    assert screen.text() == "why **not** go on\n- here"
    assert style_of(screen, "**not**") == sequence(DIM)
