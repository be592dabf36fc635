"""Prompts that a local command answers, from the request to the end of its stream."""

import sys
from pathlib import Path

import psutil

from tests.http.conftest import StartReplica
from tests.http.wire import events, logged
from tests.support.waiting import eventually

AGENT = """
import os, subprocess, sys, time
prompt = sys.stdin.read().strip()
print("You said:", prompt)
if prompt == "wait":
    print(os.getpid(), subprocess.Popen(["sleep", "1000"]).pid, flush=True)
    time.sleep(1000)
sys.exit(3 if prompt == "fail" else 0)
"""


async def test_a_command_answers_fails_and_is_interrupted(start: StartReplica, tmp_path: Path) -> None:
    command = (sys.executable, "-I", "-S", "-c", AGENT)
    async with start(command_provider=command, command_directory=str(tmp_path)) as app:
        user = await app.register()

        async with user.stream("/api/execute-remote", {"userRequest": "hello", "provider": "command"}) as stream:
            session = stream.head["X-Session-ID"]
            frames = logged(await stream.rest())
        [message] = [frame.data for frame in frames if frame.event == "message"]
        assert message["content"] == [{"type": "text", "text": "You said: hello\n"}]
        assert events(frames)[-1] == "completed"
        assert children_of(tmp_path) == [session]

        follow_up = {"userRequest": "fail", "websiteSessionId": session}
        async with user.stream("/api/execute-remote", follow_up) as stream:
            failed = logged(await stream.rest())[-1].data
        assert (failed["code"], failed["message"]) == ("command_failed", "The command ended with exit code 3.")

        async with user.stream("/api/execute-remote", {"userRequest": "wait", "websiteSessionId": session}) as stream:
            said = "".join(
                frame.data["text"] for frame in await stream.until("text_delta") if frame.event == "text_delta"
            )
            while said.count("\n") < 2:
                said += (await stream.until("text_delta"))[-1].data["text"]
            pids = [int(pid) for pid in said.splitlines()[1].split()]
            assert all(psutil.pid_exists(pid) for pid in pids)
            assert (await user.post(f"/api/sessions/{session}/interrupt")).status == 202
            assert logged(await stream.rest())[-1].event == "interrupted"
        await eventually(lambda: not any(running(pid) for pid in pids), "command and child are gone", seconds=3)


def children_of(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
