"""The file store through obstore: a directory or S3.

Its calls block, each in a thread of our own: its coroutines would be woken by threads of its runtime, and one of those
that wakes while the interpreter ends takes the process down (SIGABRT; PyO3/pyo3-async-runtimes#40). The threads are
few, so a store that hangs holds up nothing but files.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from webedt.config import Settings
from webedt.kernel import BaseService
from webedt.storage.interface import AFileStore, AObjectWriter, ObjectMissing, StoreUnavailable
from webedt.storage.opening import open_store, storage_directory

R = TypeVar("R")

THREADS = 16
# Longer than the store's own requests and their retries: the last net, and the only one of a directory that hangs.
STORE_SECONDS = 60.0
# S3: a part has at least 5 MiB, but for the last one, and an object at most 10,000 of them.
PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 9000
PARTS_AT_ONCE = 1
FAULTS = (BaseError, OSError, ValueError, RuntimeError)


class ObstoreFileStore(BaseService, AFileStore):
    def __init__(self, settings: Settings, *, store_seconds: float = STORE_SECONDS) -> None:
        self._settings = settings
        self._seconds = store_seconds
        self._directory = storage_directory(settings)
        self._opened: ObjectStore | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="file-store")

    async def initialize(self) -> None:
        if self._settings.production and not self._settings.storage_url:
            self.log.warning("files_in_working_directory", directory=str(self._directory), better="set STORAGE_URL")

    async def dispose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await super().dispose()

    def writer(self, key: str, *, most_bytes: int) -> AObjectWriter:
        part_bytes = max(PART_BYTES, -(-most_bytes // MAX_PARTS))
        place = self._directory / key if self._directory is not None else None
        return _Writer(self, key, part_bytes, place)

    async def read(self, key: str, start: int, end: int) -> bytes:
        def work(store: ObjectStore) -> bytes:
            try:
                return bytes(obstore.get_range(store, key, start=start, end=end))
            except FileNotFoundError:
                raise ObjectMissing(key) from None

        piece = await self.call("read", work)
        if len(piece) != end - start:
            raise ObjectMissing(key)
        return piece

    async def remove(self, key: str) -> None:
        def work(store: ObjectStore) -> None:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(store, key)
            if self._directory is not None:
                remove_staged(self._directory / key)

        await self.call("remove", work)

    async def probe(self) -> str | None:
        key, content = f"probe/{uuid4()}", b"webedt"
        try:
            async with asyncio.timeout(self._seconds):
                return await self._in_thread(lambda: _probe(self._store(), key, content))
        except TimeoutError:
            return "does not answer"
        except FAULTS as error:
            return str(error).split("\n\nDebug source:")[0].strip() or type(error).__name__

    async def call(self, what: str, work: Callable[[ObjectStore], R]) -> R:
        """`work` in a thread, with the deadline. Raises `StoreUnavailable` for whatever is the store's fault."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._in_thread(lambda: work(self._store()))
        except FAULTS as error:  # TimeoutError is an OSError
            self.log.warning("file_store_failed", operation=what, error=str(error)[:500] or type(error).__name__)
            raise StoreUnavailable from error

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _store(self) -> ObjectStore:
        """Opened at the first use: that files cannot be kept is no reason not to start."""
        if self._opened is None:
            self._opened = open_store(self._settings)
        return self._opened


class _Writer(AObjectWriter):
    def __init__(self, store: ObstoreFileStore, key: str, part_bytes: int, place: Path | None) -> None:
        self._store = store
        self._key = key
        self._part_bytes = part_bytes
        self._place = place
        self._written = 0
        self._file: obstore.WritableFile | None = None
        self._busy = False

    async def write(self, piece: bytes) -> None:
        await self._do("write", lambda store: self._open(store).write(piece))
        self._written += len(piece)

    async def finish(self) -> None:
        def work(store: ObjectStore) -> None:
            self._open(store).close()
            if self._place is not None:
                make_durable(self._place)

        await self._do("finish", work)
        self._file = None

    async def abandon(self) -> None:
        # Parts that were sent stay in a bucket, unseen and paid for, until the upload is completed or aborted, and of
        # the two obstore offers only the first. So what has begun is completed, and then removed like every object.
        file, self._file = self._file, None
        if file is None or self._busy or self._written <= self._part_bytes:
            return
        with contextlib.suppress(StoreUnavailable):
            await self._store.call("abandon", lambda _store: file.close())

    def _open(self, store: ObjectStore) -> "obstore.WritableFile":
        if self._file is None:
            self._file = obstore.open_writer(
                store, self._key, buffer_size=self._part_bytes, max_concurrency=PARTS_AT_ONCE
            )
        return self._file

    async def _do(self, what: str, work: Callable[[ObjectStore], object]) -> None:
        self._busy = True  # and it stays so when the wait for the thread is given up: the thread still has the file
        await self._store.call(what, work)
        self._busy = False


def make_durable(place: Path) -> None:
    """obstore renames a finished file into place without fsync; a power cut could leave an empty one."""
    for path in (place, place.parent, place.parent.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_staged(place: Path) -> None:
    """What is being written has the name of the object, `#` and a number; a crash leaves it there."""
    for staged in place.parent.glob(f"{place.name}#*"):
        staged.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            place.parent.rmdir()


def _probe(store: ObjectStore, key: str, content: bytes) -> str | None:
    obstore.put(store, key, content)
    found = bytes(obstore.get_range(store, key, start=0, end=len(content)))
    obstore.delete(store, key)
    return None if found == content else "gives back other bytes than it was given"
