"""`webedt` at a terminal: what a person sees while a run goes on, and what Ctrl-C does."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.client.scripted_server import (
    RUN_ID,
    SESSION_ID,
    ScriptedServer,
    completed,
    delta,
    frame,
    message,
    refusal,
    stream,
)
from tests.support.command_line import CONTROL_C, CommandLine

ACCEPTED = frame(1, "user_message", content=[{"type": "text", "text": "hello"}])
STARTED = frame(2, "run_started", attempt=1, provider="simulated", model="m-1", container="c")
QUESTION = "interrupt the run, detach, or go on? [i/d/C]"
INTERRUPTED = frame(9, "interrupted", by="user")
HOSTILE = "\x1b]52;c;aGFjaw==\x07\x1b]0;title\x07\x1b[2J\x1b[1;1H\x9b31m\rX"


def endless(*frames: bytes) -> Callable[..., Awaitable[object]]:
    return stream(ACCEPTED, STARTED, *frames, then=asyncio.Event().wait)


def tool(event_id: int, tool_id: str, name: str, **given: str) -> bytes:
    return frame(event_id, "tool_use", messageId="m1", toolUseId=tool_id, name=name, input=given)


def result(event_id: int, tool_id: str, text: str, *, is_error: bool = False) -> bytes:
    content = [{"type": "text", "text": text}]
    return frame(event_id, "tool_result", toolUseId=tool_id, content=content, isError=is_error)


async def test_a_run_is_readable_and_nothing_of_it_steers_the_terminal(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    more = asyncio.Event()
    whole = f"# Done\n\nAll **12** pass, {HOSTILE} says\n```\n$ pytest\n```\n"
    first = [
        frame(3, "thinking_delta", messageId="m1", text="I look at the tests.\nThen"),
        delta(4, "I run them.", message_id="m1"),
        tool(5, "t1", "bash", command="pytest -q"),
        result(6, "t1", "....\n12 passed in 0.4s\n"),
        tool(7, "t2", "read", path="a.py"),
        result(8, "t2", f"no such file{HOSTILE}", is_error=True),
        frame(9, "usage", inputTokens=1000, outputTokens=20, costUsd=0.125),
        delta(10, whole[:20], message_id="m2"),
    ]
    server.steps = [
        stream(ACCEPTED, STARTED, *first, then=more.wait, breaks=True),
        refusal(503, "unavailable", Retry_After="1"),
        stream(delta(11, whole[20:50], message_id="m2"), message(12, whole, message_id="m2"), completed(13)),
    ]
    async with webedt.at_terminal("run", "hello") as session:
        shown = await session.shows("live · answering")
        assert shown.splitlines()[-1][2:].startswith("live · answering")
        assert "1.0k in, 20 out · $0.12" in shown.splitlines()[-1]
        more.set()
        assert (await session.shows("reconnecting in 1 s")).splitlines()[-1][2:].startswith("reconnecting in 1 s")
        assert await session.ended() == 0
        text, styled = session.screen.text(), session.screen.styled()
    assert text.splitlines() == [
        "∴ I look at the tests. Then",
        "I run them.",
        "⚙ bash: pytest -q ✓ 12 passed in 0.4s (2 lines)",
        "⚙ read: a.py ✗ no such file␛]52;c;aGFjaw==␇␛]0;title␇␛[2J␛[1;1H�31mX",
        "",
        "Done",
        "",
        "All 12 pass, ␛]52;c;aGFjaw==␇␛]0;title␇␛[2J␛[1;1H�31mX says",
        "```",
        "$ pytest",
        "```",
        "",
        "1,000 tokens in, 20 out · $0.12 · 1.5 s",
        f"session {SESSION_ID}",
    ]
    assert [style for _, style in styled[7][4:6]] == ["0;1", "0;1"]
    assert {style for _, style in styled[0]} == {"0;2"}


async def test_thinking_is_shown_in_full_on_request_and_no_colour_means_no_sequences_but_the_live_line(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    thought = frame(3, "thinking_delta", messageId="m1", text="I look **hard** at it.\nThen again.")
    server.steps = [stream(ACCEPTED, STARTED, thought, message(4, "A **bold** word."), completed(5))]
    async with webedt.at_terminal("run", "hello", "--thinking", environ={"NO_COLOR": "1"}) as session:
        assert await session.ended() == 0
        assert session.screen.text().startswith("I look **hard** at it.\nThen again.\nA **bold** word.\n")
    assert b"m" not in {sequence[-1:] for sequence in _sequences(session.raw)}


async def test_a_dumb_terminal_gets_text_and_not_one_sequence(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [stream(ACCEPTED, STARTED, tool(3, "t", "bash", command="ls"), message(4, "# Hi"), completed(5))]
    async with webedt.at_terminal("run", "hello", environ={"TERM": "dumb"}) as session:
        assert await session.ended() == 0
        assert session.screen.text().startswith("⚙ bash: ls\n\n# Hi\n\n")
    assert b"\x1b" not in session.raw


async def test_a_narrow_terminal_breaks_between_words_and_a_resize_counts_from_the_next_one(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    more = asyncio.Event()
    server.steps = [
        stream(ACCEPTED, STARTED, delta(3, "- " + "word " * 9), then=more.wait, breaks=True),
        stream(message(4, "- " + "word " * 9 + "\nthen " + "more " * 9), completed(5)),
    ]
    async with webedt.at_terminal("run", "hello", columns=24, lines=10) as session:
        await session.shows("live · ")
        session.resize(40, 10)
        more.set()
        assert await session.ended() == 0
        lines = session.screen.text().splitlines()
    assert lines[:5] == [
        "• word word word word",
        "  word word word word",
        "  word",
        "then more more more more more more more",
        "more more",
    ]


async def test_a_restart_and_a_take_over_are_told(server: ScriptedServer, webedt: CommandLine) -> None:
    recovered = frame(3, "run_recovered", attempt=2, container="b")
    restarted = frame(5, "run_restarted", attempt=2, reason="replica lost")
    wait = asyncio.Event()
    server.steps = [
        stream(ACCEPTED, STARTED, recovered, delta(4, "half of **an"), then=wait.wait, breaks=True),
        stream(restarted, delta(6, "all of it", message_id="m2"), completed(7)),
    ]
    async with webedt.at_terminal("run", "hello") as session:
        await session.shows("another replica took over · answering")
        wait.set()
        assert await session.ended() == 0
        assert session.screen.text().splitlines()[:3] == [
            "half of **an",
            "webedt: the run was restarted (replica lost): its answer begins anew",
            "all of it",
        ]


async def test_control_c_asks_and_the_answer_goes_on_meanwhile(server: ScriptedServer, webedt: CommandLine) -> None:
    more = asyncio.Event()

    async def until_interrupted() -> None:
        await server.interrupted.wait()

    server.steps = [
        stream(ACCEPTED, STARTED, delta(3, "on and "), then=more.wait, breaks=True),
        stream(delta(4, "on it goes "), then=until_interrupted),
        stream(frame(5, "interrupted", by="user")),
    ]
    async with webedt.at_terminal("run", "hello") as session:
        await session.shows("live · answering")
        session.press(CONTROL_C)
        await session.shows(lambda text: text.endswith(f"? {QUESTION}"))
        assert not session.cooked
        more.set()
        assert (await session.shows("on and on it goes")).endswith(f"? {QUESTION}")
        session.press("c")
        await session.shows("live · answering")
        assert session.cooked
        assert not server.interrupted.is_set()
        session.press(CONTROL_C)
        await session.shows(QUESTION)
        session.press("i")
        assert await session.ended() == 130
        assert "webedt: the run was interrupted" in session.screen.text()
        assert QUESTION not in session.screen.text()
    assert [body for method, path, _, body in server.requests if path.endswith("/interrupt")] == [{"runId": RUN_ID}]


@pytest.mark.parametrize("keys", ["d", CONTROL_C])
async def test_whoever_detaches_is_told_how_to_come_back_and_the_run_goes_on(
    server: ScriptedServer, webedt: CommandLine, keys: str
) -> None:
    server.steps = [endless(delta(3, "on and on "))]
    async with webedt.at_terminal("resume", SESSION_ID) as session:
        await session.shows("live · answering")
        session.press(CONTROL_C)
        await session.shows(QUESTION)
        session.press(keys)
        assert await session.ended() == 130
        text = session.screen.text()
        assert session.cooked
    assert text.splitlines()[:2] == ["> hello", "on and on"]
    assert "it goes on;" in text
    assert f"resume {SESSION_ID}" in " ".join(text.split())
    assert QUESTION not in text
    assert not server.interrupted.is_set()


async def test_what_the_shell_wrote_while_it_was_stopped_is_not_overwritten(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    more = asyncio.Event()
    server.steps = [
        stream(ACCEPTED, STARTED, delta(3, "before "), then=more.wait, breaks=True),
        stream(delta(4, "it after "), completed(5)),
    ]
    async with webedt.at_terminal("run", "hello") as session:
        await session.shows("live · answering")
        os.kill(session.process.pid, signal.SIGSTOP)
        session.screen.feed("\n$ fg\n")
        os.kill(session.process.pid, signal.SIGCONT)
        await session.shows(lambda text: "live · answering" in text.partition("$ fg\n")[2])
        more.set()
        assert await session.ended() == 0
        lines = session.screen.text().splitlines()
    assert (lines[0], lines[2]) == ("before", "$ fg")
    assert lines[3].split() == ["it", "after"]


async def test_sigterm_gives_the_terminal_back(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [endless(delta(3, "on and on "))]
    async with webedt.at_terminal("run", "hello") as session:
        await session.shows("live · answering")
        session.press(CONTROL_C)
        await session.shows(QUESTION)
        os.kill(session.process.pid, signal.SIGTERM)
        assert await session.ended() == 143
        assert session.cooked
        assert "left session" in session.screen.text()


def _sequences(raw: bytes) -> list[bytes]:
    return [
        part[: next(i for i, char in enumerate(part) if chr(char).isalpha()) + 1] for part in raw.split(b"\x1b[")[1:]
    ]
