"""Files on a bucket: what is stored, replaced, broken off and removed, and that nothing else is left there."""

import os
from collections.abc import AsyncIterator

from tests.support.log_harness import LogDatabase
from tests.support.replica import Replica
from tests.support.s3_server import S3Server
from tests.support.waiting import eventually
from webedt.domain.errors import InvalidRequest
from webedt.domain.files import Condition
from webedt.services.files import AFiles, NewContent
from webedt.services.uploads import Place

MIB = 1024 * 1024


async def come(*pieces: bytes, broken: bool = False) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if broken:
        raise InvalidRequest("The body did not come whole.")


async def test_a_bucket_holds_the_files_and_nothing_else(database_url: str, s3: S3Server) -> None:
    bucket = await s3.new_bucket()
    large, small = [os.urandom(MIB) for _ in range(11)], [b"small"]
    async with LogDatabase(database_url) as log, Replica(database_url, **s3.settings(bucket)).running() as replica:
        files: AFiles = replica.provider.get(AFiles)
        place = Place(log.user_id, await log.new_session(), "a/file")

        async def kept() -> list[bytes]:
            """Each object of the bucket is a file's; what the files hold."""
            rows = await log.connection.fetch("SELECT path, object_id FROM session_files ORDER BY path")
            keys = sorted(f"some/prefix/{place.session_id}/{row['object_id']}" for row in rows)

            async def is_tidy() -> bool:
                return sorted(await s3.objects(bucket)) == keys and not await s3.unfinished_uploads(bucket)

            await eventually(is_tidy, "the bucket has the objects of the files alone")
            found = [await files.open(place._replace(path=row["path"]), lambda file: (0, file.size)) for row in rows]
            return [content for _, content in found]

        for pieces in (small, large, small, large):
            await files.store(place, NewContent(come(*pieces), "text/plain"))
            assert await kept() == [b"".join(pieces)]
        for broken in (small, large):
            try:
                await files.store(place, NewContent(come(*broken, broken=True), "text/plain"))
            except InvalidRequest:
                assert await kept() == [b"".join(large)]
        await files.store(place._replace(path="second"), NewContent(come(), "text/plain"))
        assert await kept() == [b"".join(large), b""]
        await files.remove(place, Condition())
        assert await kept() == [b""]
