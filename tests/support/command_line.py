"""`webedt` as a process: with pipes, or at a terminal of its own on which a person sees something and presses keys."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.screen import Screen

ROOT = Path(__file__).parents[2]
# A test run in the background of a shell ignores SIGINT, and its children inherit that.
START = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("webedt", run_name="__main__", alter_sys=True)
"""
# A session of its own, whose terminal is standard error: then Ctrl-C is a signal, and /dev/tty is this one.
AT_TERMINAL = f"""
import fcntl, os, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
{START}"""
CONTROL_C = "\x03"
WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int
    out: str
    err: str


class AtTerminal:
    """A running `webedt` and the screen that it writes to. `cooked`: the terminal's settings are as they were."""

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int, screen: Screen) -> None:
        self.process = process
        self.screen = screen
        self.raw = b""
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)
        self._changed = asyncio.Event()
        self._open = True
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    @property
    def cooked(self) -> bool:
        return termios.tcgetattr(self._descriptor) == self._before

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """The window changes; whoever runs in it is told by a signal."""
        self.screen.columns, self.screen.lines = columns, lines
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def shows(self, what: str | Callable[[str], bool]) -> str:
        """The text on the screen, once it holds `what`."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self._changed.clear()
            text = self.screen.text()
            if what in text if isinstance(what, str) else what(text):
                return text
            assert self._open, f"it ended without {what!r}:\n{text}"
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                raise AssertionError(f"not within {WAIT_SECONDS} s: {what!r}; the screen says:\n{text}") from None

    async def ended(self) -> int:
        """The exit status, once everything was read."""
        async with asyncio.timeout(WAIT_SECONDS):
            status = await self.process.wait()
        self._read()
        return status

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        # Nothing to read any more: an error once the other side is closed.
        with contextlib.suppress(OSError):
            while piece := os.read(self._descriptor, 65_536):
                self.raw += piece
                # What is cut inside a character or a sequence is fed with the rest of it.
                whole = self.raw.decode(errors="ignore")
                self._feed(whole)
        self._changed.set()

    def _feed(self, everything: str) -> None:
        fed = getattr(self, "_fed", 0)
        new = everything[fed:]
        last = new.rfind("\x1b")
        if last >= 0 and not any(char.isalpha() for char in new[last + 1 :]):
            new = new[:last]
        self._fed = fed + len(new)
        # The kernel writes CR LF for LF, and echoes Ctrl-C.
        self.screen.feed(new.replace("\r\n", "\n").replace("^C", ""))


class CommandLine:
    """Starts `webedt` as somebody with a home directory of their own would."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.environment = {
            "PATH": os.pathsep.join(os.get_exec_path()),
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "error",
            "LANG": "C.UTF-8",
            "WEBEDT_URL": url,
            "WEBEDT_TOKEN": "a-token",
        }

    async def start(
        self, *arguments: str, environ: Mapping[str, str] | None = None, terminal: int | None = None
    ) -> asyncio.subprocess.Process:
        """A process with pipes, or with its output on a terminal."""
        stream_to = asyncio.subprocess.PIPE if terminal is None else terminal
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", START, *arguments),
            env={**self.environment, **(environ or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=stream_to,
            stderr=stream_to,
        )

    async def __call__(self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None) -> Ended:
        """A process from start to end."""
        process = await self.start(*arguments, environ=environ)
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin.encode())
        return Ended(process.returncode or 0, out.decode(), err.decode())

    @contextlib.asynccontextmanager
    async def at_terminal(
        self, *arguments: str, columns: int = 80, lines: int = 24, environ: Mapping[str, str] | None = None
    ) -> AsyncIterator[AtTerminal]:
        """A process with a terminal of this size all to itself."""
        controller, terminal = pty.openpty()
        os.set_blocking(controller, False)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", AT_TERMINAL, *arguments),
            env={**self.environment, "TERM": "xterm-256color", **(environ or {})},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        session = AtTerminal(process, controller, Screen(columns, lines))
        try:
            yield session
        finally:
            session.close()
            await process.wait()
