"""Files on their way between here and a session: in pieces, with progress for a person, and never half there."""

import asyncio
import codecs
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from webedt.cli import ids
from webedt.cli.errors import USAGE, CommandError, OutputClosed
from webedt.cli.output import terminal
from webedt.cli.progress import Progress
from webedt.client import WebEDTClient

CHUNK_BYTES = 256 * 1024


class Destination:
    """A file that is there in the end, whole, or not at all; `-` is standard output. Raises CommandError."""

    def __init__(self, name: str, *, force: bool) -> None:
        self.is_output = name == "-"
        self.name = name
        self._file: IO[bytes] | None = None
        self._temporary = Path()
        if not self.is_output and not name:
            raise CommandError("which file? PATH ends with its name", exit_status=USAGE)
        if not self.is_output and not force and Path(name).exists():
            raise CommandError(f"{name} is there already: use --force or --output", exit_status=USAGE)

    def __enter__(self) -> Self:
        if self.is_output:
            return self
        try:
            descriptor, temporary = tempfile.mkstemp(dir=Path(self.name).parent, prefix=".webedt-")
        except OSError as error:
            raise CommandError(f"cannot write {self.name}: {error.strerror or error}") from error
        self._file, self._temporary = os.fdopen(descriptor, "wb"), Path(temporary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
            if error is None:
                # As any new file: mkstemp gave it to its owner alone.
                mask = os.umask(0)
                os.umask(mask)
                self._temporary.chmod(0o666 & ~mask)
                self._temporary.replace(self.name)
        except OSError as failed:
            raise CommandError(f"cannot write {self.name}: {failed.strerror or failed}") from failed
        finally:
            self._temporary.unlink(missing_ok=True)

    async def write(self, chunks: AsyncIterator[bytes], progress: "_Counted") -> int:
        """Take everything, and return how much it was."""
        # A terminal is shown text, whatever it is sent.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace") if self.is_output and _seen() else None
        async for chunk in chunks:
            progress.add(len(chunk))
            if decoder is not None:
                terminal().text(decoder.decode(chunk))
            else:
                await asyncio.to_thread(self._write, chunk)
        return progress.done

    def _write(self, chunk: bytes) -> None:
        try:
            if self._file is not None:
                self._file.write(chunk)
            else:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            raise OutputClosed from error
        except OSError as error:
            raise CommandError(f"cannot write {self.name}: {error.strerror or error}") from error


class Source:
    """A file to be sent, or standard input (`-`), whose size is not known. Raises CommandError."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.size: int | None = None
        self._file: IO[bytes] = sys.stdin.buffer

    @property
    def default_path(self) -> str:
        """What it is called there, if nothing else is said."""
        if self.name == "-":
            raise CommandError("standard input has no name: give the PATH, too", exit_status=USAGE)
        return Path(self.name).name

    def __enter__(self) -> Self:
        if self.name != "-":
            try:
                self._file = Path(self.name).open("rb")
                self.size = os.fstat(self._file.fileno()).st_size
            except OSError as error:
                raise CommandError(f"cannot read {self.name}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.name != "-":
            self._file.close()

    async def chunks(self, progress: "_Counted") -> AsyncIterator[bytes]:
        """The bytes, no more than `size` of them: the file may grow meanwhile."""
        left = self.size
        while left is None or left > 0:
            chunk = await asyncio.to_thread(self._file.read, CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            progress.add(len(chunk))
            yield chunk


class _Counted:
    """How much has gone, on the progress line of a person."""

    def __init__(self, size: int | None) -> None:
        self.done = 0
        self._of = "" if size is None else f" of {readable_size(size)}"
        self._progress = Progress(doing="0 B")
        self._terminal = terminal()

    def __enter__(self) -> Self:
        self._terminal.show(self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._terminal.close()

    def add(self, count: int) -> None:
        self.done += count
        self._progress.doing = f"{readable_size(self.done)}{self._of}"


async def download(client: WebEDTClient, given: str, path: str, destination: Destination) -> int:
    """Fetch a file, and return its size."""
    async with client:
        session_id = await ids.full_id(client, given)
        async with client.files.open(session_id, path) as file:
            if destination.is_output:
                return await destination.write(file.chunks, _Counted(file.size))
            with _Counted(file.size) as progress:
                return await destination.write(file.chunks, progress)


async def upload(client: WebEDTClient, given: str, path: str, source: Source) -> int:
    """Send a file, and return its size."""
    async with client:
        session_id = await ids.full_id(client, given)
        with _Counted(source.size) as progress:
            await client.files.put(session_id, path, source.chunks(progress), source.size)
            return progress.done


def readable_size(size: Any) -> str:
    """`1.2 MB`."""
    with suppress(TypeError, ValueError):
        number = float(size)
        for unit in ("B", "kB", "MB", "GB"):
            if number < 1000:
                return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
            number /= 1000
        return f"{number:.1f} TB"
    return "?"


def _seen() -> bool:
    return sys.stdout.isatty()
