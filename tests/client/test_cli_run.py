"""`webedt` as a process: what stands on stdout, what on stderr, and the exit status."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.scripted_server import (
    RUN_ID,
    SESSION_ID,
    ScriptedServer,
    answer,
    completed,
    delta,
    frame,
    message,
    refusal,
    stream,
)
from tests.support.command_line import CommandLine, Ended
from webedt.cli.main import COMMANDS

ACCEPTED = frame(1, "user_message", content=[{"type": "text", "text": "hello"}])


@pytest.fixture
async def webedt(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[CommandLine]:
    yield CommandLine(tmp_path, server.url)


async def test_a_pipe_gets_the_text_and_a_final_newline_and_nothing_else(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [
        stream(
            ACCEPTED,
            frame(2, "run_started", attempt=1, provider="simulated", model="m", container="c"),
            frame(3, "thinking_delta", messageId="m1", text="hmm"),
            delta(4, "Grüße, "),
            delta(5, "Welt"),
            message(6, "Grüße, Welt", replaces_from=4),
            frame(7, "usage", inputTokens=10, outputTokens=20),
            completed(8),
        )
    ]
    assert await webedt("run", "hello") == Ended(0, "Grüße, Welt\n", "")


async def test_a_run_goes_on_when_the_replica_is_lost_and_prints_nothing_twice(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [
        refusal(503, "unavailable", Retry_After="0"),
        stream(ACCEPTED, delta(2, "one "), delta(3, "two ")[:-9], breaks=True),
        stream(delta(3, "two "), breaks=True),
        stream(message(9, "one two three", replaces_from=2), completed(10)),
    ]
    ended = await webedt("run", "hello")
    assert (ended.status, ended.out) == (0, "one two three\n")
    assert server.cursors == ["POST", "POST", "2", "3"]


async def test_who_waits_for_the_first_answer_is_told_once_that_it_is_tried_again(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    refused = refusal(503, "unavailable", "Not ready: database.", Retry_After="0")
    server.steps = [refused, refused, refused, stream(ACCEPTED, message(2, "here"), completed(3))]
    ended = await webedt("run", "hello")
    assert ended == Ended(0, "here\n", "webedt: Not ready: database; trying again\n")


async def test_messages_around_a_tool_stand_on_lines_of_their_own(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [
        stream(
            ACCEPTED,
            delta(2, "I look."),
            frame(3, "tool_use", messageId="m1", toolUseId="t", name="read", input={"path": "a"}),
            frame(4, "tool_result", toolUseId="t", content="x", isError=False),
            message(5, "It is x.", message_id="m2"),
            completed(6),
        )
    ]
    assert await webedt("run", "hello") == Ended(0, "I look.\nIt is x.\n", "")


async def test_a_restarted_run_is_announced_and_printed_anew(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [
        stream(
            ACCEPTED,
            delta(2, "half of"),
            frame(3, "run_restarted", attempt=2, reason="replica lost"),
            delta(4, "all of it", message_id="m2"),
            message(5, "all of it", message_id="m2", replaces_from=4),
            completed(6),
        )
    ]
    ended = await webedt("run", "hello")
    assert (ended.status, ended.out) == (0, "half of\nall of it\n")
    assert "restarted (replica lost)" in ended.err


async def test_a_failed_run_ends_with_status_1_and_its_reason(server: ScriptedServer, webedt: CommandLine) -> None:
    end = frame(3, "failed", code="provider_error", message="overloaded", retryable=True)
    server.steps = [stream(ACCEPTED, delta(2, "so f"), end)]
    ended = await webedt("run", "hello")
    assert (ended.status, ended.out) == (1, "so f\n")
    assert ended.err == "webedt: the run failed: overloaded (provider_error); it may work if you try again\n"


async def test_a_run_that_somebody_interrupts_ends_with_status_130(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [stream(ACCEPTED, frame(2, "interrupted", by="user"))]
    assert (await webedt("run", "hello")).status == 130


async def test_control_c_interrupts_the_run_if_that_was_asked_for_and_reads_on_to_its_end(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [
        stream(ACCEPTED, delta(2, "on and on"), then=asyncio.Event().wait),
        stream(frame(3, "interrupted", by="user")),
    ]
    process = await webedt.start("run", "hello", "--on-interrupt", "interrupt")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        printed = await process.stdout.readexactly(len("on and on"))
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, printed + out) == (130, b"on and on\n")
    assert ("POST", f"/api/sessions/{SESSION_ID}/interrupt", {"runId": RUN_ID}) in [
        (method, path, body) for method, path, _, body in server.requests
    ]
    assert "the run was interrupted" in err.decode()
    assert "Traceback" not in err.decode()


async def test_a_second_control_c_leaves_at_once_and_says_how_to_come_back(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [
        stream(ACCEPTED, delta(2, "on and on"), then=asyncio.Event().wait),
        stream(b": silence\n\n", then=asyncio.Event().wait),
    ]
    process = await webedt.start("run", "hello", "--on-interrupt", "interrupt")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readexactly(len("on and on"))
        process.send_signal(signal.SIGINT)
        await server.interrupted.wait()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert f"webedt resume {SESSION_ID}" in err.decode()
    assert "Traceback" not in err.decode()


async def test_control_c_where_nobody_can_be_asked_leaves_the_run_alone(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [stream(ACCEPTED, delta(2, "on and on"), then=asyncio.Event().wait)]
    process = await webedt.start("run", "hello")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readexactly(len("on and on"))
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode() == f"webedt: left session {SESSION_ID}, it goes on; `webedt resume {SESSION_ID}` reads on\n"
    assert not server.interrupted.is_set()


async def test_control_characters_are_shown_in_a_pipe_and_escaped_in_json(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    hostile = "a\x1b]52;c;aGk=\x07b\x9bc\u202ed"
    server.steps = [stream(ACCEPTED, message(2, hostile), completed(3))] * 2
    assert (await webedt("run", "hello")).out == "a␛]52;c;aGk=␇b\ufffdc\ufffdd\n"
    line = (await webedt("run", "hello", "--json")).out.splitlines()[1]
    assert json.loads(line)["data"]["content"][0]["text"] == hostile
    assert line.isprintable()


async def test_json_is_one_object_a_line(server: ScriptedServer, webedt: CommandLine) -> None:
    caught_up = frame(None, "caught_up", lastEventId=1, status="running")
    server.steps = [stream(ACCEPTED, caught_up, delta(2, "a\nb"), completed(3))]
    ended = await webedt("run", "hello", "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [(event["id"], event["type"]) for event in events] == [
        (1, "user_message"),
        (2, "text_delta"),
        (3, "completed"),
    ]
    assert events[1] == {
        "sessionId": SESSION_ID,
        "id": 2,
        "type": "text_delta",
        "data": {"runId": RUN_ID, "messageId": "m1", "text": "a\nb"},
    }


async def test_options_reach_the_server_and_the_prompt_may_come_from_a_pipe(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [stream(ACCEPTED, completed(2))]
    options = ("--follow-up", SESSION_ID, "--provider", "simulated", "--model", "m", "--on-busy", "reject")
    repository = ("--github", "https://github.com/o/r", "--branch", "b")
    assert (await webedt("run", "-", *options, *repository, stdin="from a pipe")).status == 0
    assert server.requests[0][3] == {
        "userRequest": "from a pipe",
        "websiteSessionId": SESSION_ID,
        "provider": "simulated",
        "model": "m",
        "onBusy": "reject",
        "github": {"repoUrl": "https://github.com/o/r", "branch": "b"},
    }


async def test_a_reader_that_leaves_early_causes_no_complaint(server: ScriptedServer, webedt: CommandLine) -> None:
    more = asyncio.Event()
    many = stream(ACCEPTED, delta(2, "first"), then=more.wait)
    server.steps = [many, stream(*(delta(number, "x" * 1000) for number in range(3, 300)), completed(300))]
    process = await webedt.start("run", "hello")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readexactly(5)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        more.set()
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 141


@pytest.mark.parametrize(
    ("status", "code", "detail", "expected", "exit_status"),
    [
        (400, "invalid_request", "No.", "No.", 3),
        (401, "unauthenticated", "No.", "run `webedt login EMAIL`", 4),
        (404, "not_found", "No.", "`webedt sessions` lists what is yours", 3),
        (409, "conflict", "The session is busy.", "use --on-busy queue", 3),
        (500, "internal", "No.", "(request r-1)", 1),
    ],
)
async def test_a_refusal_is_one_line_that_says_what_to_do(
    server: ScriptedServer, webedt: CommandLine, status: int, code: str, detail: str, expected: str, exit_status: int
) -> None:
    server.steps = [refusal(status, code, detail)]
    ended = await webedt("run", "hello", "--session", SESSION_ID)
    assert (ended.status, ended.out) == (exit_status, "")
    assert expected in ended.err
    assert ended.err.count("\n") == 1


async def test_a_server_that_is_none_is_named_without_letting_it_steer_the_terminal(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [answer(302, None, Location="http://elsewhere/\x9b2J")]
    ended = await webedt("sessions")
    assert (ended.status, ended.out) == (5, "")
    assert "redirects to http://elsewhere/\ufffd2J. Is WEBEDT_URL right?" in ended.err


async def test_who_asks_too_often_is_told_when_to_come_back(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [refusal(429, "rate_limited", "Too many requests.", Retry_After="7")]
    assert await webedt("sessions") == Ended(3, "", "webedt: Too many requests. Try again in 7 s.\n")


async def test_a_server_that_is_not_there_is_named(server: ScriptedServer, webedt: CommandLine) -> None:
    await server.stop()
    ended = await webedt("run", "hello", "--retry-for", "0")
    assert ended.status == 5
    assert f"cannot reach {server.url}: connection refused. Is the server running there?" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", " "), ("nonsense",), (), ("resume", "x", "--after", "-1"), ("login", "a@b.c")]
)
async def test_wrong_usage_ends_with_status_2(webedt: CommandLine, arguments: tuple[str, ...]) -> None:
    ended = await webedt(*arguments)
    assert ended.status == 2
    assert "Traceback" not in ended.err


async def test_an_address_that_is_none_is_refused(webedt: CommandLine) -> None:
    ended = await webedt("sessions", environ={"WEBEDT_URL": "localhost:3001"})
    assert ended.status == 2
    assert "WEBEDT_URL is not a server's address" in ended.err


async def test_login_keeps_the_token_where_only_its_owner_can_read_it(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    del webedt.environment["WEBEDT_TOKEN"]
    not_yet = await webedt("sessions")
    assert not_yet.status == 4
    assert "run `webedt login EMAIL`" in not_yet.err

    body = {"user": {"email": "ann@example.org"}, "session": {"id": "public", "expiresAt": "2030-01-01T00:00:00Z"}}
    server.steps = [answer(201, body, Set_Cookie="webedt_session=kept"), answer(200, {"sessions": []})]
    logged_in = await webedt("login", "ann@example.org", "--password-stdin", "--register", stdin="open sesame\n")
    assert (logged_in.status, logged_in.err) == (0, "")
    assert server.requests[0][1] == "/api/auth/register"
    assert server.requests[0][3] == {"email": "ann@example.org", "password": "open sesame"}
    stored = webedt.home / ".config" / "webedt" / "credentials.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in stored.parent.iterdir()] == ["credentials.json"]

    assert (await webedt("sessions")).status == 0
    assert server.requests[1][2]["Authorization"] == "Bearer kept"


async def test_a_wrong_password_is_said_so(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [refusal(401, "unauthenticated", "no")]
    ended = await webedt("login", "ann@example.org", "--password-stdin", stdin="wrong\n")
    assert ended.status == 4
    assert "no such email address and password" in ended.err


async def test_a_damaged_credentials_file_is_named(webedt: CommandLine) -> None:
    stored = webedt.home / "config" / "webedt" / "credentials.json"
    stored.parent.mkdir(parents=True)
    stored.write_text("{")
    environ = {"XDG_CONFIG_HOME": str(webedt.home / "config"), "WEBEDT_TOKEN": ""}
    ended = await webedt("sessions", environ=environ)
    assert ended.status == 1
    assert f"{stored} is damaged" in ended.err


async def test_resume_prints_what_was_missed_and_ends_when_nothing_runs(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [stream(delta(6, "rest"), message(7, "the rest", replaces_from=2), completed(8)), answer(204)]
    assert await webedt("resume", SESSION_ID, "--after", "5") == Ended(0, "rest\n", "")
    assert server.cursors == ["5", "8"]


async def test_sessions_are_a_table_over_all_pages(server: ScriptedServer, webedt: CommandLine) -> None:
    def session(name: str) -> dict[str, str]:
        return {
            "id": name,
            "status": "running",
            "updatedAt": "2026-01-02T03:04:05Z" if name == "first" else "2999-01-01T00:00:00Z",
            "provider": "claude",
            "title": "a\nb",
        }

    server.steps = [
        answer(200, {"sessions": [session("first")], "nextCursor": "more"}),
        answer(200, {"sessions": [session("second")], "nextCursor": None}),
    ]
    ended = await webedt("sessions", "--status", "running", "--q", "a b")
    first, second, third = ended.out.splitlines()
    assert first.split() == ["ID", "STATUS", "AGE", "PROVIDER", "TITLE"]
    assert first.index("PROVIDER") == second.index("claude") == third.index("claude")
    assert re.fullmatch(r"first   running  \d+ d  claude    a b", second)
    assert third.split() == ["second", "running", "0", "s", "claude", "a", "b"]
    assert [path for _, path, _, _ in server.requests] == [
        "/api/sessions?limit=50&status=running&q=a+b",
        "/api/sessions?limit=49&status=running&q=a+b&cursor=more",
    ]


async def test_a_list_that_is_not_all_names_the_cursor_to_go_on_from(
    server: ScriptedServer, webedt: CommandLine
) -> None:
    server.steps = [answer(200, {"sessions": [{"id": "second"}], "nextCursor": "third"})]
    ended = await webedt("sessions", "--limit", "1", "--cursor", "second", "--json")
    assert ended == Ended(0, '{"id": "second"}\n', "webedt: there are more: --cursor third\n")
    assert server.requests[0][1] == "/api/sessions?limit=1&cursor=second"


async def test_interrupt_names_the_run_or_says_that_there_is_none(server: ScriptedServer, webedt: CommandLine) -> None:
    ended = await webedt("interrupt", SESSION_ID)
    assert ended == Ended(0, f"Interrupting run {RUN_ID} of session {SESSION_ID}.\n", "")
    assert server.requests[0][3] == {}

    server.interrupt_steps = [refusal(409, "conflict", "no")]
    ended = await webedt("interrupt", SESSION_ID, "--run", RUN_ID)
    assert (ended.status, ended.out) == (3, "")
    assert f"run {RUN_ID} has ended" in ended.err


async def test_control_c_while_resuming_leaves_the_run_alone(server: ScriptedServer, webedt: CommandLine) -> None:
    server.steps = [stream(ACCEPTED, delta(2, "on and on"), then=asyncio.Event().wait)]
    process = await webedt.start("resume", SESSION_ID)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readexactly(len("on and on"))
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert f"webedt resume {SESSION_ID}" in err.decode()
    assert not server.interrupted.is_set()


async def test_help_is_there_before_anything_heavy_is_imported(webedt: CommandLine) -> None:
    ended = await webedt("--help", environ={"PYTHONPROFILEIMPORTTIME": "1"})
    assert ended.status == 0
    for name, text in COMMANDS:
        assert f"    {name:<12}{text}\n" in ended.out
    assert "argparse" in ended.err
    assert "aiohttp" not in ended.err
    assert "asyncio" not in ended.err
