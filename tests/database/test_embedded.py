"""The embedded PostgreSQL comes up whatever state the last process left it in."""

import os
from pathlib import Path

import asyncpg
import psutil
import pytest

from webedt.database.embedded import EmbeddedPostgres, EmbeddedPostgresError


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def postmaster_pid(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def restarted(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """What the next process sees of the same data."""
    return EmbeddedPostgres(server.home.parent)


async def test_it_is_postgresql_18_on_a_socket_that_only_its_owner_reaches(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    assert int(str(await ask(url, "SHOW server_version_num"))) >= 180000
    assert await ask(url, "SHOW listen_addresses") == ""
    assert await ask(url, "SHOW max_connections") == "300"
    assert (own_postgres.home.stat().st_mode & 0o077) == 0


async def test_fsync_is_on_unless_asked_otherwise(own_postgres: EmbeddedPostgres) -> None:
    assert await ask(restarted(own_postgres).start(), "SHOW fsync") == "on"


async def test_the_next_process_finds_a_running_server_and_uses_it(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    pid = postmaster_pid(own_postgres)
    again = restarted(own_postgres)
    assert again.start() == url
    assert postmaster_pid(again) == pid


async def test_what_was_committed_survives_a_killed_server(own_postgres: EmbeddedPostgres) -> None:
    await ask(own_postgres.start(), "CREATE TABLE kept AS SELECT 1")
    postmaster = psutil.Process(postmaster_pid(own_postgres))
    postmaster.kill()
    postmaster.wait()
    assert await ask(own_postgres.start(), "SELECT count(*) FROM kept") == 1


async def test_a_crashed_servers_number_that_a_stranger_got_is_no_obstacle(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.start()
    pid_file = own_postgres.data / "postmaster.pid"
    left_behind = pid_file.read_text().splitlines()
    own_postgres.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *left_behind[1:]]))
    assert await ask(own_postgres.start(), "SELECT 1") == 1


def test_stopping_twice_or_without_a_start_is_safe(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.stop()
    own_postgres.start()
    own_postgres.stop()
    own_postgres.stop()


async def test_a_data_directory_cut_short_is_made_again(own_postgres: EmbeddedPostgres) -> None:
    (own_postgres.home / "data.unfinished").mkdir()
    assert await ask(own_postgres.start(), "SELECT 1") == 1


async def test_a_path_too_long_for_a_socket_is_no_obstacle(own_postgres: EmbeddedPostgres) -> None:
    deep = EmbeddedPostgres(own_postgres.home.parent / ("long-" * 20))
    try:
        assert await ask(deep.start(), "SELECT 1") == 1
    finally:
        deep.delete()


def test_a_server_that_cannot_start_says_where_its_log_is(own_postgres: EmbeddedPostgres) -> None:
    wrong = EmbeddedPostgres(own_postgres.home.parent, settings={"max_connections": "none"})
    with pytest.raises(EmbeddedPostgresError, match=str(own_postgres.log)):
        wrong.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="concerns root only")
async def test_root_keeps_data_elsewhere_when_the_servers_account_cannot_reach_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "data")
    try:
        assert not server.home.is_relative_to(closed)
        assert await ask(server.start(), "SELECT 1") == 1
        assert (closed.stat().st_mode & 0o777) == 0o700
    finally:
        server.delete()
