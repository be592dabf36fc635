"""The client commands against a real replica, from the first login to the last logout."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.command_line import CONTROL_C, CommandLine
from tests.support.fleet import PASSWORD, start_fleet

QUESTION = "[i/d/C]"
EMAIL = "ann@example.com"


def objects(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def answer_of(events: Sequence[dict[str, Any]]) -> str:
    return "".join(event["data"]["text"] for event in events if event["type"] == "text_delta")


async def test_every_command_of_a_client_works_on_a_real_replica(database_url: str, tmp_path: Path) -> None:
    async with start_fleet(database_url, 1) as fleet:
        webedt = CommandLine(tmp_path, fleet[0].url)
        webedt.environment["WEBEDT_TOKEN"] = ""
        ended = await webedt("login", EMAIL, "--register", "--password-stdin", stdin=f"{PASSWORD}\n")
        assert (ended.status, ended.err) == (0, "")

        who, providers, stored, detached, piped = await asyncio.gather(
            webedt("whoami", "--json"),
            webedt("providers"),
            webedt("keys", "set", "anthropic", stdin="sk-secret\n"),
            webedt("run", "--detach", "--provider", "simulated", "[[tokens=100000 rate=20]]"),
            webedt("run", "--json", stdin="[[tokens=3 rate=0]] from a pipe"),
        )
        assert objects(who.out)[0]["user"]["email"] == EMAIL
        assert providers.out.splitlines()[1].split()[:2] == ["simulated", "yes"]
        assert "needs" in providers.out
        assert (stored.status, "sk-secret" in stored.out + stored.err) == (0, False)
        events = objects(piped.out)
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        assert (events[0]["type"], events[-1]["type"]) == ("user_message", "completed")
        session_id = detached.out.strip()
        assert f"webedt resume {session_id}" in detached.err

        keys, sent, found, refused = await asyncio.gather(
            webedt("keys", "list", "--json"),
            webedt("send", session_id[:8], "--json", stdin="more [[tokens=2 rate=0]]"),
            webedt("sessions", "--json", "--q", "rate=20"),
            webedt("run", "x", "--session", session_id[:8], "--on-busy", "reject"),
        )
        assert [key["provider"] for key in objects(keys.out) if key["configured"]] == ["anthropic"]
        assert objects(sent.out)[0] | {"runId": ""} == {"sessionId": session_id, "runId": "", "status": "queued"}
        assert [session["id"] for session in objects(found.out)] == [session_id]
        assert (refused.status, "--on-busy queue" in refused.err) == (3, True)

        interrupted = await webedt("interrupt", session_id[:8], "--json")
        assert objects(interrupted.out)[0]["status"] == "interrupting"
        resumed, unusable, removed = await asyncio.gather(
            webedt("resume", session_id[:8], "--json"),
            webedt("run", "x", "--provider", "openai"),
            webedt("keys", "remove", "anthropic"),
        )
        ends = [event["type"] for event in objects(resumed.out) if event["type"] in {"interrupted", "completed"}]
        assert ends == ["interrupted", "completed"]
        assert (unusable.status, "`webedt providers`" in unusable.err) == (3, True)
        assert removed.status == 0

        assert (await webedt("logout")).status == 0
        assert (await webedt("sessions")).status == 4
        assert json.loads((tmp_path / ".config" / "webedt" / "credentials.json").read_text()) == {"servers": {}}


async def test_a_run_at_a_terminal_survives_its_replica_and_is_interrupted_in_the_end(
    database_url: str, tmp_path: Path
) -> None:
    async with start_fleet(database_url, 1, lease_seconds=1.0) as fleet, fleet.caller() as caller:
        webedt = CommandLine(tmp_path, fleet[0].url)
        webedt.environment["WEBEDT_TOKEN"] = fleet.token
        async with webedt.at_terminal("run", "[[tokens=100000 rate=100]]", columns=60, lines=20) as session:
            await session.shows("live · answering")
            fleet[0].kill()
            await session.shows("reconnecting")
            fleet[0].start()
            await session.shows("another replica took over · answering")
            session.press(CONTROL_C)
            await session.shows(QUESTION)
            session.press("i")
            assert await session.ended() == 130
            text = session.screen.text()
        answer, _, rest = text.partition("webedt: the run was interrupted")
        session_id = rest.split()[-1]
        events = await caller.pages(fleet[0], session_id)
    assert "run_recovered" in {event["type"] for event in events}
    assert answer.split() == answer_of(events).split()
    assert all(len(line) < 60 for line in answer.splitlines())


async def test_a_reader_who_leaves_a_check_early_is_no_error(database_url: str) -> None:
    # Images run unbuffered, so that the first line may be refused in the middle of the command.
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DATABASE_URL": database_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webedt", "check"), stdout=write, stderr=asyncio.subprocess.PIPE, env=environment
    )
    os.close(write)
    assert (await process.communicate())[1].decode() == ""
    assert process.returncode == 141
