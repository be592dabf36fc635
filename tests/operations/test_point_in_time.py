"""A base backup and the write-ahead log behind it: back to a moment between two events, and on from there."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.operations.document import block_with
from tests.operations.logs import logs_of, stopped_after_take_over
from tests.support.fleet import eventually, start_fleet
from tests.support.fleet_reader import Reader
from tests.support.postgres import connect
from tests.support.suite import FAST_SETTINGS
from webedt.database.embedded import EmbeddedPostgres
from webedt.database.embedded_files import ServerAccount, server_programs
from webedt.database.migrations import migrate

ENDLESS = "[[tokens=100000 rate=20]]"
ARCHIVED = "SELECT last_archived_wal >= $1 FROM pg_stat_archiver"
AROUND = """
SELECT count(*) FILTER (WHERE created_at < $2) AS before, count(*) FILTER (WHERE created_at > $2) AS behind
FROM events
WHERE chat_session_id = $1::text::uuid
"""


@contextlib.contextmanager
def server(folder: Path, **settings: str) -> Iterator[EmbeddedPostgres]:
    """A server there, not started; it is removed behind the block."""
    server = EmbeddedPostgres(folder, settings={**FAST_SETTINGS, **settings})
    try:
        yield server
    finally:
        server.delete()


async def test_a_database_goes_back_to_a_moment_between_two_events_and_on_from_there(
    own_postgres: EmbeddedPostgres,
) -> None:
    folder = own_postgres.home.parent
    account = ServerAccount()
    archive = account.own(folder / "archive")
    with (
        server(folder / "original", archive_mode="on", archive_command=f"cp %p {archive}/%f") as original,
        server(folder / "restored", restore_command=f"cp {archive}/%f %p") as restored,
    ):
        url = await asyncio.to_thread(original.start)
        await migrate(url)
        connection = await connect(url)
        async with start_fleet(url, 1) as fleet, fleet.caller() as caller:
            run = await caller.start(fleet[0], ENDLESS)
            reader = Reader(caller.http, run.session_id, [fleet[0].url])
            following = asyncio.create_task(reader.follow())
            await reader.has_seen(5)
            program = server_programs(account) / "pg_basebackup"
            backup = [program, f"--dbname={url}", "--checkpoint=fast", "--pgdata", restored.data]
            result = await asyncio.to_thread(account.run, backup)
            assert result.returncode == 0, result.stdout
            await reader.has_seen(reader.last_id + 10)
            async with connection.transaction():
                # Whoever appends holds the head until it has committed: no event is both before and behind.
                await connection.execute("SELECT FROM session_heads FOR UPDATE")
                moment = await connection.fetchval("SELECT clock_timestamp()")
            await reader.has_seen(reader.last_id + 10)
            before, behind = await connection.fetchrow(AROUND, run.session_id, moment)
            assert min(before - 15, behind) > 0
            written = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

            async def archived() -> bool:
                return bool(await connection.fetchval(ARCHIVED, written))

            await eventually(archived, "the log is archived")
            following.cancel()
            cursor = reader.last_id
        await connection.close()
        await asyncio.to_thread(original.stop, "immediate")

        (restored.data / "recovery.signal").touch()
        with (restored.data / "postgresql.auto.conf").open("a") as options:
            options.write(f"recovery_target_time = '{moment.isoformat()}'\nrecovery_target_action = promote\n")
        url = await asyncio.to_thread(restored.start)
        connection = await connect(url)
        (log,) = (await logs_of(connection)).values()
        assert (log.last_seq, log.status, log.unexplained) == (before, "running", [])
        assert cursor > log.last_seq
        # Whose clock is behind sees owners that seem to live for a while.
        await connection.execute("UPDATE instances SET heartbeat_at = clock_timestamp() + interval '1 hour'")
        await connection.execute("UPDATE leases SET expires_at = clock_timestamp() + interval '1 hour'")
        await connection.execute(block_with("DELETE FROM instances"))
        async with start_fleet(url, 1) as other, other.caller(fleet.token) as caller:
            await stopped_after_take_over(caller, other[0], run)
        await connection.close()
