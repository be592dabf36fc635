"""The command provider, with real processes: what they are given, what becomes of what they say, and how they end."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from webedt.config import Settings
from webedt.providers.command import CommandProvider
from webedt.providers.command_lines import PIECE_CHARACTERS, Lines
from webedt.providers.command_process import READ_BYTES, STDERR_TAIL_BYTES
from webedt.providers.command_workspace import prepare
from webedt.providers.interface import Completed, Item, MessageDone, ProviderError, RunRequest, Step, TextDelta

ROOT = Path(__file__).parents[2]


def python(program: str, *arguments: str) -> tuple[str, ...]:
    """A command that runs this program."""
    prelude = "import json, os, signal, subprocess, sys, time\n"
    return (sys.executable, "-I", "-S", "-u", "-c", prelude + program, *arguments)


@asynccontextmanager
async def provider_for(
    directory: Path | str, *command: str, max_output_bytes: int = 1 << 20, **settings: Any
) -> AsyncIterator[CommandProvider]:
    chosen = Settings(command_provider=command, command_directory=str(directory), **settings)
    provider = CommandProvider(chosen, max_output_bytes=max_output_bytes)
    before = set(psutil.Process().children())
    await provider.initialize()
    try:
        yield provider
    finally:
        await provider.dispose()
        assert set(psutil.Process().children()) <= before  # no zombie either


def ask(said: str = "Hello", session_id: UUID | None = None, **more: Any) -> RunRequest:
    prompt = more.pop("prompt", [{"type": "text", "text": said}])
    ids = {"run_id": uuid4(), "session_id": session_id or uuid4(), "user_id": uuid4()}
    return RunRequest(**{**ids, "attempt": 1, "model": None, "prompt": prompt, **more})


async def answer(provider: CommandProvider, request: RunRequest) -> list[Item]:
    async with asyncio.timeout(20):
        return [item async for step in provider.run(request, None) for item in step.items]


async def answer_text(provider: CommandProvider, request: RunRequest) -> str:
    items = await answer(provider, request)
    [message] = [item for item in items if isinstance(item, MessageDone)]
    assert [text_of([item for item in items if isinstance(item, TextDelta)])] == [
        block["text"] for block in message.content
    ]
    assert items[-1] == Completed("end_turn")
    text: str = message.content[0]["text"]
    return text


def text_of(items: Any) -> str:
    return "".join(item.text for item in items)


async def refusal(provider: CommandProvider, request: RunRequest) -> ProviderError:
    with pytest.raises(ProviderError) as refused:
        await answer(provider, request)
    return refused.value


async def pids_of(steps: AsyncIterator[Step], count: int) -> list[int]:
    """The process ids that the command writes first, one in a line."""
    said = ""
    while said.count("\n") < count:
        said += text_of((await anext(steps)).items)
    return [int(line) for line in said.split()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# What it is given ----------------------------------------------------------------------------------------------------


async def test_its_lines_are_the_deltas_of_one_message(tmp_path: Path) -> None:
    program = "for word in ('one', 'two'): print(word); time.sleep(0.3)"
    async with provider_for(tmp_path, *python(program)) as provider:
        request = ask()
        items = await answer(provider, request)
    message_id = f"cmd_{request.run_id.hex}_1"
    assert items == [
        TextDelta(message_id, "one\n"),
        TextDelta(message_id, "two\n"),
        MessageDone(message_id, [{"type": "text", "text": "one\ntwo\n"}]),
        Completed("end_turn"),
    ]


async def test_the_prompt_comes_on_stdin_and_stands_in_no_argument(tmp_path: Path) -> None:
    prompt = "What is in $HOME? `id`; $(touch pwned) é 😀" + "x" * 200_000
    async with provider_for(tmp_path, *python("print(json.dumps([sys.argv, sys.stdin.read()]))")) as provider:
        arguments, stdin = json.loads(await answer_text(provider, ask(prompt)))
    assert stdin == prompt + "\n"
    assert arguments == ["-c"]


async def test_a_command_that_reads_nothing_of_a_long_prompt_answers(tmp_path: Path) -> None:
    async with provider_for(tmp_path, "echo", "done") as provider:
        assert await answer_text(provider, ask("x" * 1_000_000)) == "done\n"


async def test_no_shell_expands_anything(tmp_path: Path) -> None:
    hostile = ("$HOME", "; rm -rf .", "*", "`id`", "a b", "&& false", '"')
    async with provider_for(tmp_path, *python("print(json.dumps(sys.argv[1:]))", *hostile)) as provider:
        assert json.loads(await answer_text(provider, ask())) == list(hostile)


async def test_nothing_secret_is_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "SESSION_SECRET", "ENCRYPTION_KEY", "ANTHROPIC_API_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    async with provider_for(tmp_path, "env") as provider:
        request = ask(model="large")
        found = dict(line.split("=", 1) for line in (await answer_text(provider, request)).splitlines())
    assert len(found.pop("WEBEDT_COMMAND_ID")) == 32
    assert found == {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "LANG": "C.UTF-8",
        "WEBEDT_SESSION_ID": str(request.session_id),
        "WEBEDT_RUN_ID": str(request.run_id),
        "WEBEDT_MODEL": "large",
    }


async def test_a_session_keeps_its_files_and_sees_no_other_sessions(tmp_path: Path) -> None:
    program = "print(os.getcwd(), sorted(os.listdir())); open(sys.stdin.read().strip(), 'w')"
    first, second = uuid4(), uuid4()
    async with provider_for(tmp_path / "deep" / "er", *python(program)) as provider:
        said = [
            await answer_text(provider, ask(name, session))
            for session, name in ((first, "a"), (second, "b"), (first, "c"))
        ]
    folder = tmp_path / "deep" / "er"
    assert said == [f"{folder / str(first)} []\n", f"{folder / str(second)} []\n", f"{folder / str(first)} ['a']\n"]
    assert stat.S_IMODE((folder / str(first)).stat().st_mode) == 0o700


async def test_an_image_is_a_file_that_the_prompt_names(tmp_path: Path) -> None:
    # Without padding, which the wire contract allows.
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo"}}
    prompt = [{"type": "text", "text": "Look:"}, image]
    async with provider_for(tmp_path, "cat") as provider:
        request = ask(prompt=prompt)
        said = await answer_text(provider, request)
    name = f"prompt-{request.run_id}-1-2.png"
    assert said == f"Look:\n[image: {name}]\n"
    assert (tmp_path / str(request.session_id) / name).read_bytes() == b"\x89PNG\r\n\x1a\n"


async def test_an_image_is_not_written_through_a_link(tmp_path: Path) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    request = ask(prompt=[image])
    (tmp_path / str(request.session_id)).mkdir()
    (tmp_path / str(request.session_id) / f"prompt-{request.run_id}-1-1.png").symlink_to(tmp_path / "elsewhere")
    async with provider_for(tmp_path, "cat") as provider:
        assert (await refusal(provider, request)).code == "command_not_started"
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_in_a_shared_place_must_be_ours_alone(tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("loose", "link"):
        with (tmp_path / "stdin").open("wb") as stdin, pytest.raises(PermissionError):
            prepare(tmp_path / name, ask(), stdin, True)


# What it says --------------------------------------------------------------------------------------------------------


@given(st.text(alphabet="aé😀\r\n\0", max_size=60).map(str.encode), st.data())
def test_however_the_bytes_are_cut_the_text_is_the_same(whole: bytes, data: st.DataObject) -> None:
    broken = data.draw(st.sampled_from([b"", b"\xff", b"\xc3", b"\xf0\x9f"]))
    place = data.draw(st.integers(0, len(whole)))
    whole = whole[:place] + broken + whole[place:]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    lines, said = Lines(), list[str]()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        pieces = lines.take(whole[start:end])
        assert all(piece.endswith("\n") for piece in pieces)
        said += pieces
        if lines.half and data.draw(st.booleans()):
            said += lines.take_half()
    said += lines.take(b"", final=True)
    text = whole.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(said) == text
    assert all(said)


def test_a_line_without_an_end_is_given_in_pieces() -> None:
    lines = Lines()
    pieces = [piece for _ in range(100) for piece in lines.take(b"x" * 1000)] + lines.take(b"", final=True)
    assert max(map(len, pieces)) <= PIECE_CHARACTERS
    assert sum(map(len, pieces)) == 100_000


def test_lines_that_come_together_stay_together() -> None:
    pieces = Lines().take(b"twelve chars\n" * 1000)
    assert len(pieces) < 5
    assert all(piece.endswith("\n") and len(piece) <= PIECE_CHARACTERS for piece in pieces)


async def test_a_character_that_comes_in_halves_is_one(tmp_path: Path) -> None:
    program = r"for byte in 'é😀\r\n'.encode() + b'\xff': os.write(1, bytes([byte])); time.sleep(0.02)"
    async with provider_for(tmp_path, *python(program)) as provider:
        assert await answer_text(provider, ask()) == "é😀\n\ufffd"


async def test_half_a_line_is_not_kept_back(tmp_path: Path) -> None:
    async with provider_for(tmp_path, *python("print('Well? ', end=''); time.sleep(60)")) as provider:
        async with asyncio.timeout(10), aclosing(provider.run(ask(), None)) as steps:
            assert text_of((await anext(steps)).items) == "Well? "


async def test_a_command_that_says_nothing_has_answered(tmp_path: Path) -> None:
    async with provider_for(tmp_path, "true") as provider:
        assert await answer(provider, ask()) == [Completed("end_turn")]


async def test_a_flood_waits_for_a_slow_log_in_bounded_memory(tmp_path: Path) -> None:
    program = """
written = 0
while True:
    written += os.write(1, b'x' * 99 + b'\\n')
    if not written % 10_000:
        os.pwrite(counter, b'%12d' % written, 0)
"""
    counting = "counter = os.open('counter', os.O_RDWR | os.O_CREAT)\n"
    async with provider_for(tmp_path, *python(counting + program), max_output_bytes=1_000_000) as provider:
        request = ask()
        counter = tmp_path / str(request.session_id) / "counter"
        async with asyncio.timeout(30), aclosing(provider.run(request, None)) as steps:
            sizes = [sum(len(item.text) for item in (await anext(steps)).items if isinstance(item, TextDelta))]
            before, written = -1, 0
            while written != before:  # until it waits
                await asyncio.sleep(0.2)
                before, written = written, int(counter.read_bytes() or b"0")
            assert written < 8 * READ_BYTES
            with pytest.raises(ProviderError) as refused:
                async for step in steps:
                    sizes.append(len(text_of(step.items)))
    assert max(sizes) < 4 * READ_BYTES
    assert sum(sizes) <= 1_000_000
    assert (refused.value.code, refused.value.retryable) == ("command_output_too_large", False)


async def test_stderr_is_for_the_log_and_only_its_end(tmp_path: Path) -> None:
    program = "sys.stderr.write('x' * 300_000 + 'the reason'); print('hm'); sys.exit(3)"
    async with provider_for(tmp_path, *python(program)) as provider:
        with capture_logs() as logs:
            error = await refusal(provider, ask())
    assert error.message == "The command ended with exit code 3."
    [line] = [line for line in logs if line["event"] == "command_failed"]
    assert len(line["stderr"]) == STDERR_TAIL_BYTES
    assert line["stderr"].endswith("the reason")


# How it ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "message", "retryable"),
    [
        ("sys.exit(1)", "The command ended with exit code 1.", False),
        ("sys.exit(75)", "The command ended with exit code 75.", True),
        ("os.kill(os.getpid(), 9)", "The command was ended by signal 9.", True),
    ],
)
async def test_another_exit_code_than_0_is_a_failure(
    tmp_path: Path, program: str, message: str, retryable: bool
) -> None:
    async with provider_for(tmp_path, *python(program)) as provider:
        error = await refusal(provider, ask())
    assert (error.code, error.message, error.retryable) == ("command_failed", message, retryable)


@pytest.mark.parametrize("program", ["no-such-agent", "/etc/passwd", "./relative", "/"])
async def test_a_command_that_is_not_there_is_a_definite_failure(tmp_path: Path, program: str) -> None:
    async with provider_for(tmp_path, program) as provider:
        error = await refusal(provider, ask())
    assert (error.code, error.retryable) == ("command_not_started", False)
    assert program not in error.message


async def test_a_relative_command_is_not_looked_for_where_prompts_decide(tmp_path: Path) -> None:
    request = ask()
    planted = tmp_path / str(request.session_id) / "agent"
    planted.parent.mkdir()
    planted.write_text("#!/bin/sh\necho mine\n")
    planted.chmod(0o755)
    async with provider_for(tmp_path, "./agent") as provider:
        assert (await refusal(provider, request)).code == "command_not_started"


@pytest.mark.parametrize(
    ("program", "said", "message"),
    [
        ("time.sleep(60)", "", "The command was silent too long. No answer began."),
        ("print('x'); time.sleep(60)", "x\n", "The command was silent too long. The answer stopped."),
        ("print('x'); os.close(1); time.sleep(60)", "x\n", "The command was silent too long. The answer stopped."),
    ],
)
async def test_a_silent_command_is_ended(tmp_path: Path, program: str, said: str, message: str) -> None:
    waits = {"provider_first_token_seconds": 1.0, "provider_idle_seconds": 0.5}
    seen: list[Item] = []
    async with provider_for(tmp_path, *python(program), **waits) as provider:
        with pytest.raises(ProviderError) as refused:
            async with asyncio.timeout(20):
                async for step in provider.run(ask(), None):
                    seen += step.items
    assert (refused.value.code, refused.value.message) == ("provider_timeout", message)
    assert text_of(seen) == said


async def test_waiting_for_our_own_log_is_not_silence_of_the_command(tmp_path: Path) -> None:
    program = "for word in 'abc': print(word); time.sleep(0.2)"
    waits = {"provider_first_token_seconds": 5.0, "provider_idle_seconds": 0.6}
    async with provider_for(tmp_path, *python(program), **waits) as provider:
        seen: list[Item] = []
        async for step in provider.run(ask(), None):
            seen += step.items
            await asyncio.sleep(0.9)
    assert seen[-1] == Completed("end_turn")


async def test_an_interrupt_ends_it_with_its_children_and_theirs(tmp_path: Path) -> None:
    """Also those that left for a session of their own, as tools that agents start often do."""
    nested = "subprocess.Popen(['sleep', '1000']).pid"
    detached = "subprocess.Popen(['sleep', '1000'], start_new_session=True).pid"
    child = f"import os, subprocess, time; print(os.getpid()); print({nested}); print({detached}); time.sleep(1000)"
    program = f"print(os.getpid()); subprocess.run([sys.executable, '-I', '-S', '-u', '-c', {child!r}])"
    async with provider_for(tmp_path, *python(program)) as provider:
        async with asyncio.timeout(20), aclosing(provider.run(ask(), None)) as steps:
            pids = await pids_of(steps, 4)
            assert all(alive(pid) for pid in pids)
        assert len(pids) == 4
        await eventually(lambda: not any(alive(pid) for pid in pids), "all are gone", seconds=2)


async def test_a_command_that_is_asked_to_stop_may_tidy_up(tmp_path: Path) -> None:
    program = """
def tidy(*_):
    open('tidied', 'w').close()
    sys.exit()
signal.signal(signal.SIGTERM, tidy)
print('ready')
time.sleep(1000)
"""
    async with provider_for(tmp_path, *python(program)) as provider:
        request = ask()
        async with asyncio.timeout(20), aclosing(provider.run(request, None)) as steps:
            await anext(steps)
    assert (tmp_path / str(request.session_id) / "tidied").exists()


async def test_a_command_that_ignores_sigterm_is_killed_within_what_the_driver_grants(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid()); time.sleep(1000)"
    async with provider_for(tmp_path, *python(program)) as provider:
        steps = provider.run(ask(), None)
        [pid] = await pids_of(steps, 1)

        async def consume() -> None:
            async with aclosing(steps):
                await anext(steps)

        consuming = asyncio.create_task(consume())
        await asyncio.sleep(0.05)
        consuming.cancel()
        await asyncio.wait({consuming}, timeout=2)
        assert consuming.cancelled()
        assert not alive(pid)


async def test_who_turns_away_at_once_has_it_ended_all_the_same(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid()); time.sleep(1000)"
    async with provider_for(tmp_path, *python(program)) as provider:
        steps = provider.run(ask(), None)
        [pid] = await pids_of(steps, 1)
        consuming = asyncio.ensure_future(anext(steps))
        await asyncio.sleep(0.05)
        consuming.cancel()
        await asyncio.sleep(0.01)
        consuming.cancel()  # and does not wait
        await asyncio.wait({consuming}, timeout=0.1)
        assert consuming.done()
        await eventually(lambda: not alive(pid), "the command is gone", seconds=5)


async def test_what_it_leaves_running_neither_holds_the_answer_up_nor_stays(tmp_path: Path) -> None:
    program = "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
    async with provider_for(tmp_path, *python(program)) as provider:
        pid = int(await answer_text(provider, ask()))
        await eventually(lambda: not alive(pid), "what it left is gone", seconds=2)


async def test_output_that_comes_after_its_end_is_still_taken(tmp_path: Path) -> None:
    """As with a shell whose last words go through `tee`."""
    async with provider_for(tmp_path, "/bin/sh", "-c", "(sleep 0.2; echo late) & echo early") as provider:
        assert await answer_text(provider, ask()) == "early\nlate\n"


async def test_it_does_not_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid())\n"
    program += "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid); time.sleep(1000)"
    server = f"""
import asyncio, sys
from tests.providers.test_command import ask, pids_of, provider_for
async def main():
    async with provider_for({str(tmp_path)!r}, *{python(program)!r}) as provider:
        steps = provider.run(ask(), None)
        print(*await pids_of(steps, 2), flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", server, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=-1
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            pids = [int(pid) for pid in (await process.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await eventually(lambda: not any(alive(pid) for pid in pids), "the command and its child are gone", seconds=5)


async def test_a_warden_that_died_is_replaced(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    async with provider_for(tmp_path, "echo", "hi") as provider:
        await answer(provider, ask())
        [warden] = set(psutil.Process().children()) - before
        assert warden.environ() == {}
        warden.kill()
        await eventually(lambda: warden.status() == psutil.STATUS_ZOMBIE, "the warden has died")
        assert await answer_text(provider, ask()) == "hi\n"
        [replaced] = set(psutil.Process().children()) - before
        assert replaced.pid != warden.pid


def test_it_is_off_unless_it_is_configured() -> None:
    assert CommandProvider(Settings()).unavailable_reason == "The command provider needs COMMAND_PROVIDER."
    assert CommandProvider(Settings(command_provider=("true",))).unavailable_reason is None
