"""One local command: started in a process group of its own, read with back-pressure, ended with its children.

Owns the pipes and the process, knows nothing of prompts and answers. Memory is bounded: while nobody reads, at most
`READ_BYTES` and one pipe's content are kept, then the pipe fills and the command waits.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

from webedt.providers.command_warden import MARK, Warden, end_all, signal_group
from webedt.providers.interface import RunRequest

READ_BYTES = 64 * 1024
STDERR_TAIL_BYTES = 4096
# Within what the driver waits for a provider to let go: who is told that the run has ended may rely on it.
TERMINATE_SECONDS = 0.3
REAP_SECONDS = 5.0
# How long, in all, we wait for output when the command has ended and something that it began holds its output open.
LINGER_SECONDS = 1.0
_STDOUT, _STDERR = 1, 2


def passed_on(request: RunRequest, home: Path) -> dict[str, str]:
    """The environment of a command: of ours, in which there are secrets, three variables and no more.

    `home` is for a server that has none.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", str(home)),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "WEBEDT_SESSION_ID": str(request.session_id),
        "WEBEDT_RUN_ID": str(request.run_id),
    }
    return environment if request.model is None else {**environment, "WEBEDT_MODEL": request.model}


class CommandProcess(asyncio.SubprocessProtocol):
    """Made by `start`. Whoever has it calls `end`, whatever happened."""

    def __init__(self, warden: Warden) -> None:
        self._warden = warden
        self._mark = uuid4().hex
        self._transport: asyncio.SubprocessTransport | None = None
        self._pipe: asyncio.ReadTransport | None = None
        self._buffer = bytearray()
        self._errors = b""
        self._at_end = False
        self._changed = asyncio.Event()
        self._exited = asyncio.Event()
        self._linger_seconds = LINGER_SECONDS

    @classmethod
    async def start(
        cls, warden: Warden, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: BinaryIO
    ) -> Self:
        """Raises `OSError` when it cannot be started."""
        process = cls(warden)
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: process,
                *arguments,
                stdin=stdin,
                cwd=directory,
                env={**environment, MARK: process._mark},
                start_new_session=True,
            )
            warden.hold(process._mark, transport.get_pid())
        except BaseException:
            # Cancelled, or without a warden. asyncio reaps what it started.
            if process._transport is not None:
                signal_group(process._transport.get_pid(), signal.SIGKILL)
                process._transport.close()
            raise
        return process

    # Reading ---------------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """The next output, or nothing at its end. Safe to cancel."""
        while not self._buffer and not self._at_end:
            self._changed.clear()
            if not self._exited.is_set():
                await self._changed.wait()
            else:
                await self._linger()
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._pipe is not None and not self._at_end:
            self._pipe.resume_reading()
        return data

    async def _linger(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._linger_seconds):
                await self._changed.wait()
        except TimeoutError:
            self._at_end = True
        self._linger_seconds -= clock() - began

    async def exit_code(self) -> int:
        """Wait for the end. Negative: the signal that ended it."""
        await self._exited.wait()
        code = None if self._transport is None else self._transport.get_returncode()
        return 0 if code is None else code

    @property
    def errors(self) -> str:
        """The last that it wrote to stderr."""
        return self._errors.decode(errors="replace")

    # Ending ----------------------------------------------------------------------------------------------------------

    async def end(self) -> bool:
        """End it, if it has not ended, and all that it began; returns whether it is gone. It was asked first."""
        transport = self._transport
        if transport is None:
            return True
        group = transport.get_pid()
        if not self._exited.is_set():
            signal_group(group, signal.SIGTERM)
            await self._wait(TERMINATE_SECONDS)
        await asyncio.to_thread(end_all, group, self._mark)
        gone = await self._wait(REAP_SECONDS)
        self._warden.let_go(self._mark)
        transport.close()
        return gone

    async def _wait(self, seconds: float) -> bool:
        """Ended and reaped, which asyncio does by itself."""
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    # What asyncio tells ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.SubprocessTransport):
            raise TypeError("not a process")
        self._transport = transport
        pipe = transport.get_pipe_transport(_STDOUT)
        self._pipe = pipe if isinstance(pipe, asyncio.ReadTransport) else None

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDERR:
            self._errors = (self._errors + data)[-STDERR_TAIL_BYTES:]
            return
        self._buffer += data
        if self._pipe is not None and len(self._buffer) >= READ_BYTES:
            self._pipe.pause_reading()
        self._changed.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == _STDOUT:
            self._at_end = True
            self._changed.set()

    def process_exited(self) -> None:
        self._exited.set()
        self._changed.set()
