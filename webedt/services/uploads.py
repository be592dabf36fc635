"""What the database knows of one upload: recorded and paid for before a byte of it is stored, then made the file, or
given up.

No transaction here waits for a client or for the store. An upload that is not heard of for `LEASE_SECONDS` is given up
by the sweep; what its uploader then still wants to commit is refused under the lock of its row.
"""

import time
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from webedt.database.interface import ADatabase
from webedt.domain.errors import Conflict, NotFound, PayloadTooLarge, Unavailable
from webedt.domain.files import MAX_FILES, Condition, StoredFile, etag_of

LEASE_SECONDS = 180.0
RENEW_SECONDS = 30.0
# Without a Content-Length room is taken as bytes come, from here on in steps: small files are paid for to the byte.
STEP_BYTES = 8 * 1024 * 1024
# How long the sweep leaves a loose object to whoever loosened it.
REMOVE_SECONDS = 60.0
INSERT_TRIES = 5


class Place(NamedTuple):
    """Where a file goes, and on whose account."""

    user_id: UUID
    session_id: UUID
    path: str


class Committed(NamedTuple):
    file: StoredFile
    replaced: UUID | None


def object_key(session_id: UUID, object_id: UUID) -> str:
    return f"{session_id}/{object_id}"


class Upload:
    """`sql`: the queries of `files`. Begin, cover each piece before it is stored, then commit or give up."""

    def __init__(self, database: ADatabase, sql: Any, place: Place, condition: Condition, quota: int) -> None:
        self._database = database
        self._sql = sql
        self._place = place
        self._condition = condition
        self._quota = quota
        self._reserved = 0
        self._renewed_at = 0.0
        self.object_id = uuid4()

    @property
    def key(self) -> str:
        return object_key(self._place.session_id, self.object_id)

    async def begin(self, size: int) -> None:
        """Record it and reserve `size` bytes. Raises `NotFound`, `Conflict` or `PayloadTooLarge`."""
        user_id, session_id, path = self._place

        async def work(connection: Any) -> int:
            if await connection.fetchval(self._sql["hold_session"], session_id, user_id) is None:
                raise NotFound("There is no such session.")
            there = await connection.fetchrow(self._sql["find_file"], session_id, user_id, path)
            # Told before the bytes are sent; what counts is asked again when they are there.
            self._condition.require(None if there is None else etag_of(there["sha256"]))
            if there is None:
                await self._refuse_too_many(connection, MAX_FILES - 1)
            await connection.execute(self._sql["open_storage"], user_id)
            await self._reserve(connection, size, size)
            # Behind the storage's lock, against the order, but nobody else can hold a row that is new.
            await connection.execute(
                self._sql["record_upload"], self.object_id, session_id, user_id, size, LEASE_SECONDS
            )
            return size

        async def look(connection: Any) -> int | None:
            found: int | None = await connection.fetchval(self._sql["find_upload"], self.object_id)
            return found

        self._reserved = await self._database.commit_once(work, look)
        self._renewed_at = time.monotonic()

    async def cover(self, size: int) -> None:
        """Have room for `size` bytes in all, and say now and then that it goes on. Raises `PayloadTooLarge`, and
        `Unavailable` when it was given up meanwhile."""
        if size > self._reserved:
            await self._extend(size, size if size <= STEP_BYTES else size + STEP_BYTES)
        elif time.monotonic() - self._renewed_at > RENEW_SECONDS:
            await self._extend(self._reserved, self._reserved)

    async def _extend(self, needed: int, wanted: int) -> None:
        async def work(connection: Any) -> int:
            row = await connection.fetchrow(self._sql["lock_loose"], self.object_id)
            if row is None or not row["uploading"]:
                raise given_up()
            more = await self._reserve(connection, needed - row["reserved_bytes"], wanted - row["reserved_bytes"])
            reserved: int = row["reserved_bytes"] + more
            await connection.execute(self._sql["extend_upload"], self.object_id, reserved, LEASE_SECONDS)
            return reserved

        async def look(_connection: Any) -> int | None:
            return None  # `work` itself begins with what is there

        self._reserved = await self._database.commit_once(work, look)
        self._renewed_at = time.monotonic()

    async def _reserve(self, connection: Any, needed: int, wanted: int) -> int:
        """Take `wanted` bytes of the user's room, or what is left of it if that is `needed` at least."""
        storage = await connection.fetchrow(self._sql["lock_storage"], self._place.user_id)
        free = self._quota - storage["used_bytes"] - storage["reserved_bytes"]
        if needed > 0 and needed > free:
            used = storage["used_bytes"]
            raise PayloadTooLarge(
                f"Of {self._quota} bytes for all your files {used} are used and {max(0, free)} are free now."
            )
        taken: int = max(0, min(wanted, max(needed, free)))
        await connection.execute(self._sql["change_storage"], self._place.user_id, 0, taken)
        return taken

    async def commit(self, size: int, sha256: bytes, content_type: str) -> Committed:
        """Make it the file, in place of the one that is there. Raises `NotFound`, `Conflict`, `PayloadTooLarge` (of
        files) or `Unavailable`."""
        user_id, session_id, path = self._place

        async def work(connection: Any) -> Committed:
            if await connection.fetchval(self._sql["hold_session"], session_id, user_id) is None:
                raise NotFound("There is no such session.")
            row = await connection.fetchrow(self._sql["lock_loose"], self.object_id)
            if row is None or not row["uploading"]:
                raise given_up()
            modified_at, replaced = await self._put(connection, size, sha256, content_type)
            old_size = 0 if replaced is None else replaced["size"]
            if replaced is not None:
                await connection.execute(
                    self._sql["loosen_objects"], session_id, user_id, [replaced["object_id"]], REMOVE_SECONDS
                )
            await connection.execute(self._sql["forget_loose"], self.object_id)
            await connection.execute(self._sql["change_storage"], user_id, size - old_size, -row["reserved_bytes"])
            if replaced is None:
                await self._refuse_too_many(connection, MAX_FILES)
            file = StoredFile(path, self.object_id, size, sha256, content_type, modified_at)
            return Committed(file, None if replaced is None else replaced["object_id"])

        async def look(connection: Any) -> Committed | None:
            row = await connection.fetchrow(self._sql["find_file"], session_id, user_id, path)
            if row is None or row["object_id"] != self.object_id:
                return None
            return Committed(StoredFile(**row), None)  # what it has replaced, the sweep removes

        return await self._database.commit_once(work, look)

    async def _put(self, connection: Any, size: int, sha256: bytes, content_type: str) -> tuple[Any, Any]:
        """When it was modified, and the row that was there before or None."""
        user_id, session_id, path = self._place
        values = (session_id, path, user_id, self.object_id, size, sha256, content_type)
        for _ in range(INSERT_TRIES):
            there = await connection.fetchrow(self._sql["lock_file"], session_id, path, user_id)
            self._condition.require(None if there is None else etag_of(there["sha256"]))
            query = self._sql["insert_file"] if there is None else self._sql["replace_file"]
            modified_at = await connection.fetchval(query, *values)
            if modified_at is not None:
                return modified_at, there
            # Somebody else made the file between the two statements: now it can be seen.
        raise Conflict("The file changes too fast.")

    async def _refuse_too_many(self, connection: Any, most: int) -> None:
        if await connection.fetchval(self._sql["has_too_many_files"], self._place.session_id, most):
            raise PayloadTooLarge(f"A session may have at most {MAX_FILES} files.")

    async def give_up(self) -> None:
        """Give the room back; from here on this upload cannot become the file. No error if that is so already."""
        await end_upload(self._database, self._sql, self.object_id, only_expired=False)


async def end_upload(database: ADatabase, sql: Any, object_id: UUID, *, only_expired: bool) -> bool:
    """Whether the object is nobody's now: it may be removed."""

    async def work(connection: Any) -> bool:
        row = await connection.fetchrow(sql["lock_loose"], object_id)
        if row is None or (only_expired and not row["expired"]):
            return False
        if row["uploading"]:
            await connection.execute(sql["end_upload"], object_id, REMOVE_SECONDS)
            await connection.execute(sql["change_storage"], row["user_id"], 0, -row["reserved_bytes"])
        return True

    return await database.with_transaction(work)


def given_up() -> Unavailable:
    return Unavailable("The upload was not heard of for too long and was given up.", retry_after_seconds=1.0)
