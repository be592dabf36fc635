"""Fixtures: the file store on a directory, and on a server that speaks S3."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.s3_server import S3Server, s3_server
from webedt.config import Settings
from webedt.storage.object_store import ObstoreFileStore


@dataclass(frozen=True)
class Kept:
    """A store, and what is really in it: objects, and what uploads that broke off have left."""

    store: ObstoreFileStore
    objects: Callable[[], Awaitable[list[str]]]
    leftovers: Callable[[], Awaitable[list[str]]]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["directory", "bucket"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    if request.param == "directory":
        settings = {"storage_url": (tmp_path / "files with spaces").as_uri()}

        async def found(*, staged: bool) -> list[str]:
            root = tmp_path / "files with spaces"
            names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
            return [name for name in names if ("#" in name) == staged]

        listed = Kept(_store(settings), lambda: found(staged=False), lambda: found(staged=True))
    else:
        server: S3Server = request.getfixturevalue("s3")
        bucket = await server.new_bucket()

        async def objects() -> list[str]:
            return [key.removeprefix("some/prefix/") for key in await server.objects(bucket)]

        listed = Kept(_store(server.settings(bucket)), objects, lambda: server.unfinished_uploads(bucket))
    yield listed
    await listed.store.dispose()


def _store(settings: dict[str, str]) -> ObstoreFileStore:
    return ObstoreFileStore(Settings(database_url="postgresql://", environment="test", **settings))
