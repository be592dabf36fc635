"""`webedt dev` refuses what cannot work before it starts anything, and brings its own database back."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from tests.support.fleet import Replica, eventually, leashed
from tests.support.ports import free_port
from webedt.database.embedded import EmbeddedPostgres

ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def dev(data_dir: Path, port: int, output: Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`webedt dev` with nothing but these variables; killed if it is still there in the end."""
    with output.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *leashed("-m", "webedt", "dev", "--port", str(port)),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "WEBEDT_DATA_DIR": str(data_dir), **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_all_faults_of_the_configuration_are_told_before_anything_starts(tmp_path: Path) -> None:
    output, data = tmp_path / "output", tmp_path / "data"
    async with dev(data, free_port(), output, LEASE_SECONDS="0", LOG_LEVEL="loud") as process, asyncio.timeout(30):
        assert await process.wait() == 2
    assert "  LEASE_SECONDS: " in output.read_text()
    assert "  LOG_LEVEL: " in output.read_text()
    assert not (data / "postgres-18").exists()


async def test_an_embedded_database_that_dies_is_started_again(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    port, output, data = free_port(), tmp_path / "output", own_postgres.home.parent
    replica = Replica("dev-1", port, {}, tmp_path)

    async def ready() -> bool:
        return (await replica.probe("/ready"))[0] == 200

    def postmaster() -> int:
        with contextlib.suppress(FileNotFoundError):
            return int((own_postgres.data / "postmaster.pid").read_text().splitlines()[0])
        return 0

    async with dev(data, port, output) as process:
        await eventually(lambda: "Ctrl-C stops it." in output.read_text(), "webedt dev is ready", 60)
        first = postmaster()
        psutil.Process(first).kill()
        await eventually(lambda: postmaster() not in (0, first), "another server runs")
        await eventually(lambda: "The database is back" in output.read_text(), "it is back")
        await eventually(ready, "the instance is ready again")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert postmaster() == 0
    assert "dev-1 ended" not in output.read_text()
