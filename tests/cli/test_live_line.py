"""The line below the text: always last, never in the way, and gone without a trace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.screen import Screen
from webedt.cli.live_line import LiveLine
from webedt.cli.progress import Progress
from webedt.cli.width import cut, text_width

COLUMNS = 20
texts = st.text("ab漢é \n", max_size=30)
steps = st.lists(
    st.one_of(texts, st.sampled_from([None]), st.text("xy", min_size=1, max_size=40).map(list)), max_size=12
)


def expected(text: str) -> str:
    return Screen(COLUMNS).feed(text).text()


@settings(max_examples=70, deadline=None)
@given(steps=steps)
def test_text_looks_as_if_there_were_no_live_line(steps: list[str | list[str] | None]) -> None:
    live, screen, written = LiveLine(), Screen(COLUMNS), ""
    live.resize(COLUMNS)
    for step in steps:
        match step:
            case None:
                screen.feed(live.hide())
                assert screen.text() == expected(written)
            case str():
                written += step
                screen.feed(live.write(step))
            case list():
                screen.feed(live.show("".join(step)))
                assert screen.last_line[:1] in {"x", "y"}
                assert len(screen.last_line) < COLUMNS
    screen.feed(live.hide())
    assert screen.text() == expected(written)


def test_text_goes_on_behind_a_tab() -> None:
    live, screen = LiveLine(), Screen(COLUMNS)
    live.resize(COLUMNS)
    screen.feed(live.write("a\tb\t") + live.show("live") + live.write("c") + live.write("d\n") + live.hide())
    assert screen.text() == expected("a\tb\tcd")


def test_text_that_stays_on_its_line_is_written_without_touching_the_live_line() -> None:
    live = LiveLine()
    live.resize(COLUMNS)
    live.write("text")
    live.show("live")
    assert "live" not in live.write(" more")
    assert "\x1b[K" not in live.write(" and")


def test_a_live_line_that_a_narrower_terminal_has_broken_is_removed_whole() -> None:
    live, screen = LiveLine(), Screen(COLUMNS)
    live.resize(COLUMNS)
    screen.feed(live.write("text\n") + live.show("0123456789abcdef"))
    screen.columns = 10
    screen.rows[1:] = [screen.rows[1][:10], screen.rows[1][10:]]
    screen.row, screen.column = 2, 6
    live.resize(10)
    screen.feed(live.hide() + live.write("more"))
    assert screen.text() == "text\nmore"


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("漢字", 4), ("e\u0301", 1), ("👩\u200d💻", 4), ("❤\ufe0f", 2), ("a\u00adb", 3), ("\u200b", 0)],
)
def test_no_text_is_wider_than_it_is_taken_for(text: str, columns: int) -> None:
    assert text_width(text) == columns


def test_what_does_not_fit_is_cut_between_characters() -> None:
    assert [cut("漢字 abc", columns) for columns in (8, 7, 4, 3, 1, 0)] == [
        "漢字 abc",
        "漢字 a…",
        "漢…",
        "漢…",
        "…",
        "",
    ]


def test_progress_says_the_most_important_first_and_leaves_out_what_does_not_fit() -> None:
    now = 100.0
    progress = Progress(clock=lambda: now)
    assert progress.line(80) == "connecting"
    progress.live()
    progress.begin_run()
    progress.doing = "answering"
    progress.input_tokens, progress.output_tokens, progress.cost_usd = 12_345, 67, 0.129
    now += 75
    assert progress.line(80) == "live · answering · 1 min 15 s · 12.3k in, 67 out · $0.13"
    assert progress.line(30) == "live · answering · 1 min 15 s"
    progress.reconnect_in(3)
    assert progress.line(40) == "reconnecting in 3 s · answering"
    now += 3
    assert progress.line(40).startswith("reconnecting · ")
    progress.live()
    progress.tell("another replica took over")
    assert progress.line(80).startswith("another replica took over · answering")
    now += 6
    assert progress.line(80).startswith("live · answering")
