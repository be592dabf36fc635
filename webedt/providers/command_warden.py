"""Ends what a command left running, also when the server died without a word.

Two halves of one idea. `end_all` kills a command with everything that it began. `Warden` is a small process beside the
server that knows which commands run: when the server is gone, however it went, the pipe between the two breaks and the
warden does what the server no longer can. (PR_SET_PDEATHSIG would reach the command alone and not its children, and
to set it Python code would have to run between fork and exec of a process with threads.)

This file is also the warden's program, started without `site`: it imports nothing but what is standard.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "WEBEDT_COMMAND_ID"
ROUNDS = 5


def end_all(group: int, mark: str) -> None:
    """Kill the process group, and on Linux also those who left it for a session of their own.

    These are found by the mark that each start of a command has in its environment. Who began processes while we looked
    is looked for again.
    """
    signal_group(group, signal.SIGKILL)
    for _ in range(ROUNDS):
        found = list(_marked(f"{MARK}={mark}".encode()))
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def signal_group(group: int, number: int) -> None:
    """Signal a process group. That nobody is left in it is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _marked(variable: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or is somebody else's
        if variable in environment.split(b"\0"):
            yield int(folder.name)


class Warden:
    """The server's end. Starts its process with the first command, and again should it have died."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def hold(self, mark: str, group: int) -> None:
        """From now on this command does not outlive us."""
        self._held[mark] = group
        if self._process is None or not self._tell(f"+ {mark} {group}\n"):
            self._start()

    def let_go(self, mark: str) -> None:
        """It has ended; its number may soon be somebody else's."""
        self._held.pop(mark, None)
        self._tell(f"- {mark} 0\n")

    def stop(self) -> None:
        """End the process, and with it the commands that it still holds."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _start(self) -> None:
        self.stop()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,  # a Ctrl-C on the terminal is for the server
        )
        for mark, group in self._held.items():
            self._tell(f"+ {mark} {group}\n")

    def _tell(self, line: str) -> bool:
        """Shorter than PIPE_BUF, hence whole or not at all; and the warden always reads."""
        try:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(line.encode())
        except BrokenPipeError:
            return False
        return True


def main() -> None:
    """Note what is told; when nobody is left to tell anything, end what was not let go."""
    held: dict[str, int] = {}
    for line in sys.stdin:
        sign, mark, group = line.split()
        if sign == "+":
            held[mark] = int(group)
        else:
            held.pop(mark, None)
    for mark, number in held.items():
        end_all(number, mark)


if __name__ == "__main__":
    main()
