"""Workspace files below HTTP: the quota, what a crash leaves at each step, races for a path, and what is swept.

After every test the books are compared: what a user is said to use is the sum of their files, what is reserved the sum
of the open uploads, and what is in the store belongs to a file.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.log_harness import LogDatabase
from tests.support.postgres import DatabaseServer
from tests.support.proxy import LossyProxy
from tests.support.replica import Replica
from tests.support.waiting import eventually
from webedt.domain.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, Unavailable
from webedt.domain.files import Condition, StoredFile
from webedt.fleet.leadership import ALeadership
from webedt.services import uploads
from webedt.services.files import SWEEP, AFiles, NewContent
from webedt.services.retention import ARetention
from webedt.services.uploads import Place, Upload
from webedt.storage.interface import AFileStore, ObjectMissing, StoreUnavailable

KIB, MIB = 1024, 1024 * 1024
QUOTA = 30 * MIB
ANYTHING = "application/octet-stream"


pytestmark = pytest.mark.asyncio(loop_scope="module")


def settings_of(directory: Path, **more: Any) -> dict[str, Any]:
    return {"storage_url": directory.as_uri(), "storage_quota_bytes": QUOTA, "max_active_runs": 0, **more}


@dataclass(frozen=True)
class Shared:
    """Two replicas on one database and one directory, for all tests here; each test has a user of its own."""

    url: str
    directory: Path
    replica: Replica
    other: Replica


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    database_server: DatabaseServer, database_names: Iterator[str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shared]:
    directory = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webedt.services.files.SWEEP_SECONDS", 3600.0)  # it comes when a test calls it
        async with database_server.database(next(database_names), template=database_server.template) as url:
            async with Replica(url, "a", **settings_of(directory)).running() as replica:
                async with Replica(url, "b", **settings_of(directory)).running() as other:
                    leadership = replica.provider.get(ALeadership)

                    async def has_swept() -> bool:
                        return (await leadership.last_run(SWEEP)).at is not None

                    await eventually(has_swept, "the first sweep")
                    yield Shared(url, directory, replica, other)


@pytest.fixture
def replica(shared: Shared) -> Replica:
    return shared.replica


@pytest.fixture
def other(shared: Shared) -> Replica:
    return shared.other


@pytest.fixture
def directory(shared: Shared) -> Path:
    return shared.directory


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def log(shared: Shared) -> AsyncIterator[LogDatabase]:
    """The test's own view of the database, with a user. Behind each test the books are compared, also once all that
    is loose has been swept away."""
    async with LogDatabase(shared.url) as database:
        yield database
        await compare_books(database)
        await let_expire(database)
        await files_of(shared.other).sweep()
        await compare_books(database)
        assert await reserved(database) == 0
        await until_tidy(database, shared.directory)


async def compare_books(log: LogDatabase) -> None:
    said = await log.connection.fetch(
        "SELECT user_id, used_bytes::bigint AS used, reserved_bytes::bigint AS reserved FROM user_storage"
    )
    used = dict(await log.connection.fetch("SELECT user_id, sum(size)::bigint FROM session_files GROUP BY 1"))
    reserved = dict(
        await log.connection.fetch("SELECT user_id, sum(reserved_bytes)::bigint FROM loose_objects GROUP BY 1")
    )
    for row in said:
        assert row["used"] == used.get(row["user_id"], 0)
        assert row["reserved"] == reserved.get(row["user_id"], 0)
    assert used.keys() <= {row["user_id"] for row in said}


@pytest_asyncio.fixture(loop_scope="module")
async def place(log: LogDatabase) -> Place:
    return Place(log.user_id, await log.new_session(), "src/main.py")


def files_of(replica: Replica) -> AFiles:
    return replica.provider.get(AFiles)


def content(*pieces: bytes, length: int | None = -1, **more: Any) -> NewContent:
    """`length` -1: told beforehand; None: not told."""

    async def come() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return NewContent(come(), ANYTHING, sum(map(len, pieces)) if length == -1 else length, **more)


async def whole(replica: Replica, place: Place) -> bytes:
    return (await files_of(replica).open(place, lambda file: (0, file.size)))[1]


async def used(replica: Replica, place: Place) -> int:
    return (await files_of(replica).list(place.user_id, place.session_id)).used_bytes


async def reserved(log: LogDatabase) -> int:
    found: int = await log.connection.fetchval("SELECT coalesce(sum(reserved_bytes), 0)::bigint FROM user_storage")
    return found


async def count(log: LogDatabase) -> int:
    """How many files the user has."""
    found: int = await log.connection.fetchval("SELECT count(*) FROM session_files WHERE user_id = $1", log.user_id)
    return found


def objects(directory: Path) -> set[str]:
    """What is there, whole or not."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


async def pointed_to(log: LogDatabase) -> set[str]:
    rows = await log.connection.fetch("SELECT chat_session_id, object_id FROM session_files")
    return {f"{row['chat_session_id']}/{row['object_id']}" for row in rows}


async def until_tidy(log: LogDatabase, directory: Path) -> None:
    """Each object belongs to a file, and nothing is remembered of others."""

    async def look() -> bool:
        loose = await log.connection.fetchval("SELECT count(*) FROM loose_objects")
        return not loose and objects(directory) == await pointed_to(log)

    await eventually(look, "no object that belongs to no file")


async def let_expire(log: LogDatabase) -> None:
    """As if the time of every loose object were over."""
    await log.connection.execute("UPDATE loose_objects SET expires_at = clock_timestamp() - interval '1 s'")


# The quota ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False], ids=["with a length", "without"])
async def test_of_uploads_that_race_for_the_last_bytes_exactly_those_that_fit_succeed(
    replica: Replica, other: Replica, place: Place, log: LogDatabase, told: bool
) -> None:
    await files_of(replica).store(place, content(bytes(QUOTA - 7 * 100 * KIB - 1)))

    async def upload(number: int) -> bool:
        at = place._replace(path=f"race/{number}")
        pieces = [bytes(50 * KIB)] * 2
        try:
            await files_of((replica, other)[number % 2]).store(at, content(*pieces, length=-1 if told else None))
        except PayloadTooLarge:
            return False
        return True

    outcomes = await asyncio.gather(*(upload(number) for number in range(20)))
    stored = await count(log) - 1
    # Without a length one that fails may have held, for a moment, what another one wanted.
    assert sum(outcomes) == stored
    assert stored == 7 if told else stored <= 7
    assert await used(replica, place) <= QUOTA
    await eventually(lambda: _is_zero(log), "all reservations are given back")


async def _is_zero(log: LogDatabase) -> bool:
    return await reserved(log) == 0


async def test_what_an_upload_did_not_need_is_given_back(replica: Replica, place: Place, log: LogDatabase) -> None:
    seen = []

    async def come() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield bytes(MIB)
            seen.append(await reserved(log))

    await files_of(replica).store(place, NewContent(come(), ANYTHING))
    assert seen[:8] == [number * MIB for number in range(1, 9)], "small files are paid for as they come"
    assert seen[-1] == 17 * MIB, "large ones in steps"
    assert (await used(replica, place), await reserved(log)) == (12 * MIB, 0)


async def test_the_last_step_is_as_small_as_what_is_left(replica: Replica, place: Place) -> None:
    await files_of(replica).store(place, content(*[bytes(MIB)] * 30, length=None))
    assert await used(replica, place) == QUOTA
    with pytest.raises(PayloadTooLarge, match=f"Of {QUOTA} bytes for all your files {QUOTA} are used and 0 are free"):
        await files_of(replica).store(place._replace(path="more"), content(b"x"))
    with pytest.raises(PayloadTooLarge):
        await files_of(replica).store(place._replace(path="more"), content(b"x", length=None))
    await files_of(replica).store(place._replace(path="empty"), content())


async def test_an_overwritten_file_counts_until_the_new_one_is_there(
    replica: Replica, place: Place, directory: Path, log: LogDatabase
) -> None:
    files = files_of(replica)
    await files.store(place, content(bytes(20 * MIB)))
    with pytest.raises(PayloadTooLarge):
        await files.store(place, content(bytes(10 * MIB + 1)))
    assert await used(replica, place) == 20 * MIB
    _, created = await files.store(place, content(bytes(10 * MIB)))
    assert not created
    assert await used(replica, place) == 10 * MIB
    await until_tidy(log, directory)


async def test_the_quota_is_the_users_over_all_sessions(replica: Replica, place: Place, log: LogDatabase) -> None:
    second = place._replace(session_id=await log.new_session())
    await files_of(replica).store(place, content(bytes(20 * MIB)))
    with pytest.raises(PayloadTooLarge):
        await files_of(replica).store(second, content(bytes(11 * MIB)))
    assert await used(replica, second) == 20 * MIB
    await files_of(replica).remove(place, Condition())
    await files_of(replica).store(second, content(bytes(11 * MIB)))


async def test_a_session_has_a_bounded_number_of_files(
    replica: Replica, place: Place, log: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_FILES", 3)

    async def upload(number: int) -> object:
        return await files_of(replica).store(place._replace(path=f"{number}"), content(b"x"))

    outcomes = await asyncio.gather(*(upload(number) for number in range(6)), return_exceptions=True)
    assert [type(one) for one in outcomes].count(PayloadTooLarge) == 3
    assert await count(log) == 3
    kept = await log.connection.fetchrow("SELECT path FROM session_files WHERE user_id = $1", log.user_id)
    await files_of(replica).store(place._replace(path=kept["path"]), content(b"overwriting is no new file"))


# Crashes --------------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """From here on this process does nothing more."""


def crash_at(replica: Replica, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process of the replica end at this step of an upload: nothing behind it happens."""
    files: Any = files_of(replica)
    store: Any = replica.provider.get(AFileStore)

    async def nothing(*_args: object) -> None: ...

    async def crash(*_args: object) -> None:
        raise Crash

    # Whatever tidies up behind an upload does not come to it either.
    monkeypatch.setattr(files, "_give_up", nothing)
    monkeypatch.setattr(files, "_discard", nothing)
    make = store.writer

    def writer(key: str, *, most_bytes: int) -> Any:
        made = make(key, most_bytes=most_bytes)
        if step == "nothing written":
            made.write = crash
        elif step == "half written":
            made.finish = crash
        elif step == "written, not committed":
            finish = made.finish

            async def finish_and_crash() -> None:
                await finish()
                raise Crash

            made.finish = finish_and_crash
        return made

    if step == "committed, the old one not removed":
        return
    monkeypatch.setattr(store, "writer", writer)


STEPS = ["nothing written", "half written", "written, not committed", "committed, the old one not removed"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_leaves_a_whole_file_and_what_the_sweep_removes(
    replica: Replica,
    other: Replica,
    place: Place,
    log: LogDatabase,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    old, new = b"old" * MIB, b"new" * 2 * MIB
    await files_of(replica).store(place, content(old))
    with monkeypatch.context() as patch:
        crash_at(replica, step, patch)
        try:
            await files_of(replica).store(
                place, content(*[new[start : start + MIB] for start in range(0, len(new), MIB)])
            )
        except Crash:
            assert not step.startswith("committed")
    expected = new if step.startswith("committed") else old
    assert await whole(other, place) == expected
    assert await used(other, place) == len(expected)
    await compare_books(log)
    assert await files_of(other).sweep() == 0, "it may still be alive"
    await let_expire(log)
    assert await files_of(other).sweep() == 1
    await until_tidy(log, directory)
    assert await reserved(log) == 0
    assert await whole(other, place) == expected


@pytest.mark.parametrize("length", [3, None])
async def test_an_upload_that_was_given_up_cannot_become_the_file(
    replica: Replica, other: Replica, place: Place, log: LogDatabase, directory: Path, length: int | None
) -> None:
    """The uploader was frozen for so long that its room was given to others."""
    await files_of(replica).store(place, content(b"old"))
    frozen, thawed = asyncio.Event(), asyncio.Event()

    async def come() -> AsyncIterator[bytes]:
        yield b"n"
        frozen.set()
        await thawed.wait()
        yield b"ew"

    upload = asyncio.create_task(files_of(replica).store(place, NewContent(come(), ANYTHING, length)))
    await frozen.wait()
    await let_expire(log)
    assert await files_of(other).sweep() == 1
    assert await reserved(log) == 0
    thawed.set()
    with pytest.raises(Unavailable, match="given up"):
        await upload
    assert await whole(replica, place) == b"old"
    await until_tidy(log, directory)


async def test_an_upload_that_goes_on_is_not_swept(
    replica: Replica, other: Replica, place: Place, log: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "RENEW_SECONDS", 0.0)

    async def come() -> AsyncIterator[bytes]:
        for _ in range(3):
            await let_expire(log)
            yield b"x"  # is heard of
            assert await files_of(other).sweep() == 0

    await files_of(replica).store(place, NewContent(come(), ANYTHING, 3))
    assert await whole(replica, place) == b"xxx"


async def test_an_answer_of_the_database_that_is_lost_doubles_and_loses_nothing(
    shared: Shared, place: Place, log: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LossyProxy(shared.url).running() as proxy:
        async with Replica(proxy.url, "c", **settings_of(shared.directory)).running() as replica:
            files, last = files_of(replica), Upload._refuse_too_many

            async def last_before_the_commit(self: Upload, connection: Any, most: int) -> None:
                await last(self, connection, most)
                if most == uploads.MAX_FILES:
                    proxy.lose("pool", "answer")

            async def come() -> AsyncIterator[bytes]:
                yield b"12345"
                proxy.lose("pool", "answer")  # to whatever comes next: room, or the beginning of the commit
                yield b"67890"

            for length in (10, None):
                await files.store(place, NewContent(come(), ANYTHING, length))
                await eventually(proxy.lost.is_set, "an answer is lost")
                assert (await used(replica, place), await reserved(log)) == (10, 0)
            monkeypatch.setattr(Upload, "_refuse_too_many", last_before_the_commit)
            file, created = await files.store(place._replace(path="new"), content(b"123"))
            await eventually(proxy.lost.is_set, "an answer is lost")
            assert (file, created) == (await files.find(place._replace(path="new")), True)
            assert (await used(replica, place), await reserved(log)) == (13, 0)


# Races for one path ---------------------------------------------------------------------------------------------------


async def test_of_two_that_overwrite_a_file_one_wins_whole(
    replica: Replica, other: Replica, place: Place, log: LogDatabase, directory: Path
) -> None:
    async def write(by: Replica, letter: bytes, size: int) -> StoredFile:
        return (await files_of(by).store(place, content(*[letter * (size // 4)] * 4)))[0]

    for round_number in range(6):
        written = await asyncio.gather(
            write(replica, b"a", 400 * KIB), write(other, b"b", 300 * KIB + 4 * round_number), write(other, b"c", 0)
        )
        file = await files_of(replica).find(place)
        assert file.object_id in {one.object_id for one in written}
        found = await whole(other, place)
        assert (len(found), hashlib.sha256(found).digest()) == (file.size, file.sha256)
        assert await used(replica, place) == file.size
    await until_tidy(log, directory)


async def test_of_many_that_want_to_create_a_file_one_does(replica: Replica, other: Replica, place: Place) -> None:
    async def create(number: int) -> object:
        new = content(f"{number}".encode(), condition=Condition(none_match=("*",)))
        return await files_of((replica, other)[number % 2]).store(place, new)

    outcomes = await asyncio.gather(*(create(number) for number in range(10)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["Conflict"] * 9 + ["tuple"]
    [winner] = [number for number, one in enumerate(outcomes) if isinstance(one, tuple)]
    assert await whole(replica, place) == f"{winner}".encode()


async def test_of_many_that_change_what_they_read_one_does(replica: Replica, other: Replica, place: Place) -> None:
    file, _ = await files_of(replica).store(place, content(b"first"))
    same = Condition(match=(file.etag,))
    outcomes = await asyncio.gather(
        *(files_of(by).store(place, content(f"{n}".encode(), condition=same)) for n, by in enumerate((replica, other))),
        files_of(other).remove(place, same),
        return_exceptions=True,
    )
    lost = [one for one in outcomes if isinstance(one, Conflict | NotFound)]
    assert len(lost) == 2, outcomes


async def test_a_reader_has_one_content_or_none(
    replica: Replica, place: Place, log: LogDatabase, directory: Path
) -> None:
    files = files_of(replica)
    await files.store(place, content(b"a" * MIB))
    file, first = await files.open(place, lambda _file: (0, 10))
    await files.store(place, content(b"b" * MIB))
    await until_tidy(log, directory)
    with pytest.raises(ObjectMissing):
        await files.read(place, file, 10, 20)
    assert first == b"a" * 10
    assert await whole(replica, place) == b"b" * MIB


async def test_who_reads_what_is_being_replaced_gets_the_new_content(
    replica: Replica, place: Place, log: LogDatabase, directory: Path
) -> None:
    files: Any = files_of(replica)
    await files.store(place, content(b"old"))
    find, replaced = files.find, False

    async def find_and_be_late(asked: Place) -> StoredFile:
        nonlocal replaced
        found: StoredFile = await find(asked)
        if not replaced:
            replaced = True
            await files.store(place, content(b"new"))
            await until_tidy(log, directory)
        return found

    files.find = find_and_be_late
    assert await whole(replica, place) == b"new"


# What goes wrong ------------------------------------------------------------------------------------------------------


async def test_a_body_that_breaks_off_changes_nothing(
    replica: Replica, place: Place, log: LogDatabase, directory: Path
) -> None:
    await files_of(replica).store(place, content(b"old"))

    async def come() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield bytes(MIB)
        raise InvalidRequest("The body did not come whole.")

    for length in (9 * MIB, None):
        with pytest.raises(InvalidRequest):
            await files_of(replica).store(place, NewContent(come(), ANYTHING, length))
        assert (await used(replica, place), await reserved(log)) == (3, 0)
    with pytest.raises(InvalidRequest, match="digest"):
        await files_of(replica).store(place, content(b"x", sha256=hashlib.sha256(b"y").digest()))
    assert await whole(replica, place) == b"old"
    await until_tidy(log, directory)


async def test_a_store_that_fails_changes_nothing_and_what_it_keeps_is_removed_later(
    replica: Replica, place: Place, log: LogDatabase, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await files_of(replica).store(place, content(b"old"))
    store: Any = replica.provider.get(AFileStore)

    async def fail(*_args: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(store, "call", fail)
        with pytest.raises(StoreUnavailable):
            await files_of(replica).store(place, content(b"new"))
        with pytest.raises(Unavailable):
            await whole(replica, place)
        await files_of(replica).remove(place, Condition())
        with pytest.raises(NotFound):
            await whole(replica, place)
        await let_expire(log)
        assert await files_of(replica).sweep() == 0
        assert await reserved(log) == 0
    assert f"{place.session_id}/" in " ".join(objects(directory))
    await let_expire(log)
    assert await files_of(replica).sweep() == 2
    await until_tidy(log, directory)


async def test_no_connection_is_held_while_bytes_come(shared: Shared, log: LogDatabase) -> None:
    settings = settings_of(shared.directory, db_pool_max=2, db_pool_min=1)
    async with Replica(shared.url, "small", **settings).running() as replica:
        session_id = await log.new_session()
        go_on, waiting = asyncio.Event(), asyncio.Semaphore(0)

        async def come() -> AsyncIterator[bytes]:
            yield b"x"
            waiting.release()
            await go_on.wait()

        places = [Place(log.user_id, session_id, f"{number}") for number in range(6)]
        stored = asyncio.gather(*(files_of(replica).store(at, NewContent(come(), ANYTHING, 1)) for at in places))
        for _ in places:
            await waiting.acquire()
        assert await used(replica, places[0]) == 0
        go_on.set()
        await stored
        assert await used(replica, places[0]) == 6


# Whose files ----------------------------------------------------------------------------------------------------------


async def test_nobody_but_the_owner_finds_a_file(replica: Replica, place: Place, log: LogDatabase) -> None:
    await files_of(replica).store(place, content(b"mine"))
    for at in (
        place._replace(user_id=uuid4()),
        place._replace(session_id=uuid4()),
        place._replace(session_id=await log.new_session()),
    ):
        for attempt in (files_of(replica).find(at), files_of(replica).remove(at, Condition())):
            with pytest.raises(NotFound):
                await attempt
    with pytest.raises(NotFound):
        await files_of(replica).store(place._replace(user_id=uuid4()), content(b"theirs"))
    assert await whole(replica, place) == b"mine"


async def test_files_go_with_a_session_that_is_purged_and_their_room_is_free_again(
    replica: Replica, place: Place, log: LogDatabase, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.services.files.FORGET_AT_ONCE", 2)
    files, retention = files_of(replica), replica.provider.get(ARetention)
    retention._trash_after = 0.0  # type: ignore[attr-defined]
    for number in range(5):
        await files.store(place._replace(path=f"{number}"), content(bytes(10)))
    kept = place._replace(session_id=await log.new_session())
    await files.store(kept, content(b"kept"))
    in_the_middle, go_on = asyncio.Event(), asyncio.Event()

    async def come() -> AsyncIterator[bytes]:
        yield b"x"
        in_the_middle.set()
        await go_on.wait()

    late = asyncio.create_task(files.store(place._replace(path="late"), NewContent(come(), ANYTHING, 1)))
    await in_the_middle.wait()
    await replica.sessions.delete(place.user_id, place.session_id)
    with pytest.raises(NotFound):
        await files.find(place._replace(path="0"))
    assert await used(replica, kept) == 54, "until then it can be restored"
    assert await retention.purge() == 1
    go_on.set()
    with pytest.raises(NotFound):
        await late
    assert await used(replica, kept) == 4
    await let_expire(log)
    await files.sweep()
    await until_tidy(log, directory)
    assert await whole(replica, kept) == b"kept"
