"""The contract of the file store, kept by a directory and by S3; and what happens when the store does not answer."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.storage.conftest import Kept
from tests.support.s3_server import S3Server
from webedt.config import Settings
from webedt.storage.interface import ObjectMissing, StoreUnavailable
from webedt.storage.object_store import ObstoreFileStore

MIB = 1024 * 1024
KEY = "session/object"


async def write(kept: Kept, *pieces: bytes, key: str = KEY) -> None:
    writer = kept.store.writer(key, most_bytes=100 * MIB)
    for piece in pieces:
        await writer.write(piece)
    await writer.finish()


async def test_what_was_written_in_many_parts_is_read_whole_and_in_parts(kept: Kept) -> None:
    pieces = [os.urandom(MIB) for _ in range(12)] + [b"the end"]
    await write(kept, *pieces)
    content = b"".join(pieces)
    assert await kept.store.read(KEY, 0, len(content)) == content
    assert await kept.store.read(KEY, 5 * MIB - 3, 5 * MIB + 3) == content[5 * MIB - 3 : 5 * MIB + 3]
    assert await kept.store.read(KEY, len(content) - 7, len(content)) == b"the end"
    assert (await kept.objects(), await kept.leftovers()) == ([KEY], [])


async def test_an_object_may_be_empty(kept: Kept) -> None:
    await write(kept)
    assert await kept.objects() == [KEY]


async def test_nobody_finds_an_object_before_it_is_finished(kept: Kept) -> None:
    writer = kept.store.writer(KEY, most_bytes=100 * MIB)
    for _ in range(12):
        await writer.write(bytes(MIB))
    with pytest.raises(ObjectMissing):
        await kept.store.read(KEY, 0, 1)
    await writer.finish()
    assert await kept.store.read(KEY, 0, 1) == b"\0"


@pytest.mark.parametrize("size", [0, 1, 12])
async def test_of_an_abandoned_upload_nothing_is_left_once_it_is_removed(kept: Kept, size: int) -> None:
    await write(kept, b"another", key="session/another")
    writer = kept.store.writer(KEY, most_bytes=100 * MIB)
    for _ in range(size):
        await writer.write(bytes(MIB))
    await writer.abandon()
    await kept.store.remove(KEY)
    assert (await kept.objects(), await kept.leftovers()) == (["session/another"], [])


async def test_what_is_removed_is_gone_and_may_be_removed_again(kept: Kept) -> None:
    await write(kept, b"content")
    await kept.store.remove(KEY)
    await kept.store.remove(KEY)
    with pytest.raises(ObjectMissing):
        await kept.store.read(KEY, 0, 1)
    assert await kept.objects() == []


async def test_bytes_that_are_not_there_are_missing(kept: Kept) -> None:
    await write(kept, b"content")
    for start, end in ((0, 8), (7, 8), (100, 200)):
        with pytest.raises((ObjectMissing, StoreUnavailable)):
            await kept.store.read(KEY, start, end)


async def test_a_probe_leaves_nothing_behind(kept: Kept) -> None:
    assert await kept.store.probe() is None
    assert await kept.objects() == []


async def test_parts_are_large_enough_for_the_largest_object(kept: Kept) -> None:
    """S3 takes at most 10,000 of them."""
    for most in (0, 5 * 1024**3, 2**45):
        writer: Any = kept.store.writer(KEY, most_bytes=most)
        assert writer._part_bytes >= 5 * MIB
        assert writer._part_bytes * 10_000 >= most


async def test_what_a_crash_left_in_a_directory_goes_with_its_object(tmp_path: Path) -> None:
    """A killed process leaves what it was writing under the object's name, `#` and a number."""
    store = store_with(storage_url=tmp_path.as_uri())
    (tmp_path / "session").mkdir()
    (tmp_path / KEY).with_name("object#1").write_bytes(b"half")
    (tmp_path / KEY).with_name("object2#1").write_bytes(b"somebody else's")
    await store.remove(KEY)
    assert [path.name for path in (tmp_path / "session").iterdir()] == ["object2#1"]
    await store.remove("session/object2")
    assert not (tmp_path / "session").exists()


def store_with(seconds: float = 5.0, **settings: Any) -> ObstoreFileStore:
    return ObstoreFileStore(
        Settings(database_url="postgresql://", environment="test", **settings), store_seconds=seconds
    )


async def attempts(store: ObstoreFileStore) -> list[Any]:
    """Each operation of a store, and how it went."""
    writer = store.writer(KEY, most_bytes=1)

    async def upload() -> None:
        await writer.write(b"x")
        await writer.finish()

    return await asyncio.gather(store.read(KEY, 0, 1), store.remove(KEY), upload(), return_exceptions=True)


async def test_a_store_that_does_not_answer_is_unavailable_in_time_and_holds_nobody_else_up(s3: S3Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel takes connections, nobody serves them
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = store_with(0.3, **{**s3.settings("bucket"), "aws_endpoint_url": url})
        started = asyncio.get_running_loop().time()
        assert [type(one) for one in await attempts(store)] == [StoreUnavailable] * 3
        assert await store.probe() == "does not answer"
        assert asyncio.get_running_loop().time() - started < 3
    await store.dispose()


@pytest.mark.parametrize("fault", ["nobody there", "no bucket", "no directory"])
async def test_a_store_that_fails_is_unavailable_and_the_probe_says_why(
    fault: str, s3: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings, why = {
        "nobody there": ({**s3.settings("bucket"), "aws_endpoint_url": "http://127.0.0.1:9"}, "HTTP error"),
        "no bucket": (s3.settings("nobody-made-this-bucket"), "NoSuchBucket"),
        "no directory": ({"storage_url": (tmp_path / "file" / "below").as_uri()}, "Not a directory"),
    }[fault]
    store = store_with(**settings)
    reading, _, uploading = await attempts(store)
    assert isinstance(uploading, StoreUnavailable)
    assert isinstance(reading, ObjectMissing if fault == "no bucket" else StoreUnavailable)
    assert why in (await store.probe() or "")
    await store.dispose()
