"""Workspace files of a session: found, listed, read, stored, removed; always for their owner.

PostgreSQL says which files there are, the file store holds their bytes. Each content is an object of its own that is
never changed, so a file changes in one commit, from one whole content to another. Whatever breaks off in between
leaves an object that no file points to, and that is known (`sweep`).
"""

import asyncio
import hashlib
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import InvalidRequest, NotFound, Unavailable
from webedt.domain.files import Condition, StoredFile, etag_of
from webedt.fleet.leadership import ALeadership, LeaderTask
from webedt.kernel import AService, Background, BaseService
from webedt.services.sessions import no_such_session
from webedt.services.uploads import REMOVE_SECONDS, Place, Upload, end_upload, object_key
from webedt.storage.interface import AFileStore, AObjectWriter, ObjectMissing

SWEEP = "files"
SWEEP_SECONDS = 10.0
SWEEP_AT_ONCE = 500
WORK_SECONDS = 2.0  # then the rest waits for the next turn: leadership is confirmed in between
SWEEP_STORE_SECONDS = 2.0
POSTPONED_SECONDS = 300.0
FORGET_AT_ONCE = 500
READ_TRIES = 3
DRAINED_SECONDS = 2.0

Window = tuple[int, int]
"""First byte, and the one behind the last."""


class Listing(NamedTuple):
    """`items`: the files as the elements of a JSON array, by path. `used_bytes` is the user's, over all sessions."""

    items: bytes
    used_bytes: int
    quota_bytes: int


class NewContent(NamedTuple):
    """`length` and `sha256` if the caller says them beforehand; `pieces` are at most a few hundred KiB each."""

    pieces: AsyncIterator[bytes]
    content_type: str
    length: int | None = None
    sha256: bytes | None = None
    condition: Condition = Condition()


class AFiles(AService):
    """`NotFound` means not there or not theirs, and says the same for both."""

    order: ClassVar[int] = 60

    @abstractmethod
    async def list(self, user_id: UUID, session_id: UUID) -> Listing:
        """Raises `NotFound`, also for a deleted session; so do all others."""

    @abstractmethod
    async def find(self, place: Place) -> StoredFile:
        """Raises `NotFound`."""

    @abstractmethod
    async def open(self, place: Place, window: Callable[[StoredFile], Window]) -> tuple[StoredFile, bytes]:
        """The file, and of the same content the bytes that `window` wants of it. Raises `NotFound`, `Unavailable`, and
        what `window` does."""

    @abstractmethod
    async def read(self, place: Place, file: StoredFile, start: int, end: int) -> bytes:
        """Bytes of exactly this content. Raises `ObjectMissing` once it is replaced or removed, and `Unavailable`."""

    @abstractmethod
    async def store(self, place: Place, content: NewContent) -> tuple[StoredFile, bool]:
        """Put `content` in the place, whole or not at all; True if no file was there.

        Raises `NotFound`, `PayloadTooLarge`, `Conflict` (the condition), `InvalidRequest` (the digest), `Unavailable`.
        """

    @abstractmethod
    async def remove(self, place: Place, condition: Condition) -> None:
        """Raises `NotFound` or `Conflict`."""

    @abstractmethod
    async def forget(self, session_id: UUID) -> int:
        """Give up some of the files of a session that is purged; how many. 0: there are none left."""

    @abstractmethod
    async def sweep(self) -> int:
        """Remove objects that no file points to and nobody uploads any more; how many."""


class Files(BaseService, AFiles):
    def __init__(self, quota_bytes: int) -> None:
        self._quota = quota_bytes
        self._sql = load_queries("files")
        self._background = Background()

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._store = self.services.get(AFileStore)
        self.services.get(ALeadership).add(LeaderTask(SWEEP, SWEEP_SECONDS, lambda _fencing: self.sweep()))

    async def dispose(self) -> None:
        await self._background.drain(DRAINED_SECONDS)
        await self._background.stop()
        await super().dispose()

    async def list(self, user_id: UUID, session_id: UUID) -> Listing:
        row = await self._database.fetchrow(self._sql["list_files"], session_id, user_id)
        if row is None:
            raise no_such_session()
        return Listing(row["items"] or b"", row["used_bytes"], self._quota)

    async def find(self, place: Place) -> StoredFile:
        row = await self._database.fetchrow(self._sql["find_file"], place.session_id, place.user_id, place.path)
        if row is None:
            raise no_such_file()
        return StoredFile(**row)

    async def open(self, place: Place, window: Callable[[StoredFile], Window]) -> tuple[StoredFile, bytes]:
        seen = None
        for _ in range(READ_TRIES):
            file = await self.find(place)
            if file.object_id == seen:
                break
            try:
                return file, await self.read(place, file, *window(file))
            except ObjectMissing:
                seen = file.object_id  # replaced between the two questions, or gone for good
        self.log.error("file_content_missing", session_id=str(place.session_id), object_id=str(seen))
        raise Unavailable("The content of this file cannot be read here now.", retry_after_seconds=5.0)

    async def read(self, place: Place, file: StoredFile, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        return await self._store.read(object_key(place.session_id, file.object_id), start, end)

    async def store(self, place: Place, content: NewContent) -> tuple[StoredFile, bool]:
        upload = Upload(self._database, self._sql, place, content.condition, self._quota)
        await upload.begin(content.length or 0)
        most = self._quota if content.length is None else content.length
        writer = self._store.writer(upload.key, most_bytes=most)
        try:
            size, sha256 = await self._transfer(upload, writer, content)
            file, replaced = await upload.commit(size, sha256, content.content_type)
        except BaseException:
            # To its end, even if this request is being cancelled for good.
            await self._background.carry("file-give-up", self._give_up(upload, writer))
            raise
        if replaced is not None:
            self._background.start("file-removal", self._discard(place.session_id, replaced))
        return file, replaced is None

    async def _transfer(self, upload: Upload, writer: AObjectWriter, content: NewContent) -> tuple[int, bytes]:
        size, sha256 = 0, hashlib.sha256()
        async for piece in content.pieces:
            size += len(piece)
            await upload.cover(size)
            sha256.update(piece)
            await writer.write(piece)
        if content.length is not None and size != content.length:
            raise InvalidRequest("The body has another length than its headers say.")
        if content.sha256 is not None and sha256.digest() != content.sha256:
            raise InvalidRequest("The body is not what its digest says.")
        await writer.finish()
        return size, sha256.digest()

    async def _give_up(self, upload: Upload, writer: AObjectWriter) -> None:
        """As far as it can be done now; the sweep does the rest."""
        try:
            await upload.give_up()
            await writer.abandon()
            await self._take_away(upload.key, upload.object_id)
        except Exception as error:
            self.log.info("upload_left_to_sweep", object_id=str(upload.object_id), error=repr(error))

    async def remove(self, place: Place, condition: Condition) -> None:
        user_id, session_id, path = place

        async def work(connection: Any) -> UUID:
            if await connection.fetchval(self._sql["hold_session"], session_id, user_id) is None:
                raise no_such_file()
            row = await connection.fetchrow(self._sql["lock_file"], session_id, path, user_id)
            if row is None:
                raise no_such_file()
            condition.require(etag_of(row["sha256"]))
            object_id: UUID = row["object_id"]
            await connection.execute(self._sql["delete_file"], session_id, path)
            await connection.execute(self._sql["loosen_objects"], session_id, user_id, [object_id], REMOVE_SECONDS)
            await connection.execute(self._sql["change_storage"], user_id, -row["size"], 0)
            return object_id

        removed = await self.with_transaction(work)
        self._background.start("file-removal", self._discard(session_id, removed))

    async def forget(self, session_id: UUID) -> int:
        async def work(connection: Any) -> int:
            rows = await connection.fetch(self._sql["delete_files"], session_id, FORGET_AT_ONCE)
            if rows:
                user_id = rows[0]["user_id"]  # a session has one owner
                ids = [row["object_id"] for row in rows]
                await connection.execute(self._sql["loosen_objects"], session_id, user_id, ids, 0.0)
                await connection.execute(self._sql["change_storage"], user_id, -sum(row["size"] for row in rows), 0)
            return len(rows)

        return await self.with_transaction(work)

    async def sweep(self) -> int:
        removed, deadline = 0, time.monotonic() + WORK_SECONDS
        for row in await self._database.fetch(self._sql["find_loose"], SWEEP_AT_ONCE):
            if not await end_upload(self._database, self._sql, row["id"], only_expired=True):
                continue
            try:
                async with asyncio.timeout(SWEEP_STORE_SECONDS):
                    await self._take_away(object_key(row["chat_session_id"], row["id"]), row["id"])
            except (Unavailable, TimeoutError):
                await self._database.fetch(self._sql["postpone_loose"], row["id"], POSTPONED_SECONDS)
                break  # the others would fare no better; the next turn begins behind it
            removed += 1
            if time.monotonic() > deadline:
                break
        return removed

    async def _discard(self, session_id: UUID, object_id: UUID) -> None:
        try:
            await self._take_away(object_key(session_id, object_id), object_id)
        except Exception as error:
            self.log.info("object_left_to_sweep", object_id=str(object_id), error=repr(error))

    async def _take_away(self, key: str, object_id: UUID) -> None:
        await self._store.remove(key)
        await self._database.fetch(self._sql["forget_loose"], object_id)


def no_such_file() -> NotFound:
    return NotFound("There is no such file.")
