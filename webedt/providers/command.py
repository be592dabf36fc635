"""A local command for each prompt; what it writes to its standard output is the answer.

It wraps any agent that has a command line. The argument list is the deployment's and goes to no shell; the prompt comes
on stdin, for arguments are shown to everybody on the machine. Not resumable: after a take-over the command runs again
from the prompt, so what it does outside of its directory may be done twice.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from webedt.config import Settings
from webedt.kernel import Background, BaseService
from webedt.providers.command_lines import Lines
from webedt.providers.command_process import CommandProcess, passed_on
from webedt.providers.command_warden import Warden
from webedt.providers.command_workspace import prepare, root_directory
from webedt.providers.interface import (
    Completed,
    ExecutionProvider,
    MessageDone,
    ProviderError,
    RunRequest,
    Step,
    TextDelta,
)
from webedt.providers.refusals import silent

MAX_OUTPUT_BYTES = 8 * 1024 * 1024
# Half a line is shown when nothing follows it for so long: a question without a newline, an answer word by word.
HALF_LINE_SECONDS = 0.1
STOP_SECONDS = 10.0


class CommandProvider(BaseService, ExecutionProvider):
    name = "command"
    resumable = False

    def __init__(self, settings: Settings, *, max_output_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self._arguments = settings.command_provider
        self._root = root_directory(settings.command_directory)
        self._in_shared_folder = not settings.command_directory
        self._first_seconds = settings.provider_first_token_seconds
        self._idle_seconds = settings.provider_idle_seconds
        self._max_bytes = max_output_bytes
        self._warden = Warden()
        self._background = Background()

    async def dispose(self) -> None:
        # The endings have deadlines of their own; what escapes them the warden ends.
        await self._background.drain(STOP_SECONDS)
        await self._background.stop()
        await asyncio.to_thread(self._warden.stop)
        await super().dispose()

    @property
    def unavailable_reason(self) -> str | None:
        return None if self._arguments else "The command provider needs COMMAND_PROVIDER."

    def default_model(self) -> str | None:
        return None

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        message_id = f"cmd_{request.run_id.hex}_{request.attempt}"
        said: list[str] = []
        process = await self._start(request)
        try:
            async with aclosing(self._pieces(process)) as output:
                async for pieces in output:
                    said += pieces
                    yield Step([TextDelta(message_id, piece) for piece in pieces])
            await self._judge(request, process)
            if said:
                yield Step([MessageDone(message_id, [{"type": "text", "text": "".join(said)}])])
            yield Step([Completed("end_turn")])
        finally:
            # Carried on also when the driver, which waits for half a second, has turned away.
            await self._background.carry("command-end", self._end(request, process))

    async def _start(self, request: RunRequest) -> CommandProcess:
        try:
            # A file without a name: the command may read it late, twice or not at all, and nobody has to feed it.
            with tempfile.TemporaryFile() as stdin:
                directory = await asyncio.to_thread(prepare, self._root, request, stdin, self._in_shared_folder)
                environment = passed_on(request, directory)
                program = await asyncio.to_thread(_find, self._arguments[0], environment["PATH"])
                arguments = [program, *self._arguments[1:]]
                return await CommandProcess.start(self._warden, arguments, directory, environment, stdin)
        except OSError as error:
            self.log.error("command_not_started", run_id=str(request.run_id), error=repr(error))
            lasting = isinstance(error, FileNotFoundError | PermissionError)
            text = "The command cannot be started on this server."
            raise ProviderError("command_not_started", text, retryable=not lasting) from error

    async def _pieces(self, process: CommandProcess) -> AsyncGenerator[list[str]]:
        """What it says. Silence counts while we wait for the command, and never while our own log takes its time."""
        lines = Lines()
        total = 0
        while True:
            limit = self._idle_seconds if total else self._first_seconds
            try:
                async with asyncio.timeout(HALF_LINE_SECONDS if lines.half else limit):
                    data = await process.read()
            except TimeoutError:
                if not lines.half:
                    raise silent("The command", begun=total > 0) from None
                yield lines.take_half()
                continue
            total += len(data)
            if total > self._max_bytes:
                text = f"The command wrote more than {self._max_bytes} bytes."
                raise ProviderError("command_output_too_large", text, retryable=False)
            if pieces := lines.take(data, final=not data):
                yield pieces
            if not data:
                return

    async def _judge(self, request: RunRequest, process: CommandProcess) -> None:
        """Its exit code. One that closed its output and goes on is silent."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                code = await process.exit_code()
        except TimeoutError:
            raise silent("The command", begun=True) from None
        if code == 0:
            return
        self.log.warning("command_failed", run_id=str(request.run_id), exit_code=code, stderr=process.errors)
        how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        # By convention (sysexits.h) 75 says: not now. Who was killed from outside did not decide anything.
        raise ProviderError("command_failed", f"The command {how}.", retryable=code == os.EX_TEMPFAIL or code < 0)

    async def _end(self, request: RunRequest, process: CommandProcess) -> None:
        if not await process.end():
            self.log.error("command_does_not_end", run_id=str(request.run_id))


def _find(program: str, path: str) -> str:
    """As an absolute path: a relative one would be looked for in the session's directory, where prompts decide."""
    found = shutil.which(program, path=path)
    if found is None:
        raise FileNotFoundError(f"{program} is not there, or may not be executed")
    return str(Path(found).absolute())
