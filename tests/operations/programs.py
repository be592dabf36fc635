"""PostgreSQL's own client programs, of the version of the server under test."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest

from webedt.database.embedded_files import ServerAccount, server_programs


async def programs_for(url: str) -> Path:
    """The folder of those that fit this server; the test is left out where there are none."""
    connection = await asyncpg.connect(url)
    try:
        major = connection.get_server_version().major
    finally:
        await connection.close()
    installed = shutil.which("pg_dump")
    for folder in (server_programs(ServerAccount()), *([Path(installed).parent] if installed else [])):
        said = await run_program(folder / "pg_dump", "--version")
        if re.search(rf"\) {major}\b", said):
            return folder
    pytest.skip(f"there is no pg_dump {major} here: install it (Debian: `apt-get install postgresql-client-{major}`)")


async def run_program(program: Path, *arguments: str | Path, given: str = "") -> str:
    """What it prints, when `given` is what it reads; fails with what it complains of."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate(given.encode())
    assert process.returncode == 0, output.decode()
    return output.decode()
