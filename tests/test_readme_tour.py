"""The tour in the README works: its blocks run, one after the other, in one shell, against two real replicas."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.fleet import start_fleet
from webedt.cli.dev_welcome import DEMO_EMAIL, DEMO_PASSWORD
from webedt.providers.simulated import LABEL

README = Path(__file__).parents[1] / "README.md"


def tour() -> str:
    """The bash blocks of the section, as one script."""
    section = README.read_text().split("\n## A 60-second tour\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    return "\n".join(blocks)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
async def test_every_block_of_the_tour_works(database_url: str, tmp_path: Path) -> None:
    async with start_fleet(database_url, 2) as fleet:
        async with aiohttp.ClientSession() as http:
            demo = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
            async with http.post(f"{fleet[0].url}/api/auth/register", json=demo) as answer:
                assert answer.status == 201
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            tour(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
                "TMPDIR": str(tmp_path),
                "A": fleet[0].url,
                "B": fleet[1].url,
                "PYTHON": sys.executable,
            },
        )
        async with asyncio.timeout(60):
            output, errors = (part.decode() for part in await shell.communicate())
    assert (shell.returncode, errors) == (0, ""), output
    assert re.search(r"^session [0-9a-f-]{36}, last event seen: [1-9]\d*$", output, re.MULTILINE)
    assert "125 events in order, none missing, none twice" in output
    assert re.search(r"^ +1 event: completed$", output, re.MULTILINE)
    assert re.search(r"^event: interrupted\ndata: .*\"by\":\"user\"", output, re.MULTILINE)
    assert '"status":"interrupting"' in output
    assert '"status":"interrupted"' in output
    # What the two clients printed: 20 deltas of 6 characters each.
    assert len(re.findall(rf"{re.escape(LABEL)}[\s\S]{{{120 - len(LABEL)}}}\n", output, re.MULTILINE)) == 2
