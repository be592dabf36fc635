"""`scripts/audit` says what it found, and never passes in silence when it could not look."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

ROOT = Path(__file__).parents[1]
VULNERABLE = {
    "id": "PYSEC-2024-60",
    "schema_version": "1.6.0",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.7"}]}],
            "versions": ["3.6"],
        }
    ],
}


class Advisories:
    """Speaks as osv.dev does, of one vulnerable version; `asked` is what it was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        question: Any = await request.json()
        self.asked.append(f"{question['package']['name']}=={question['version']}")
        known = self.asked[-1] == "idna==3.6"
        return web.json_response({"vulns": [VULNERABLE]} if known else {}, status=self.status)


@pytest.fixture
async def advisories() -> AsyncIterator[Advisories]:
    service = Advisories()
    application = web.Application()
    application.router.add_post("/v1/query", service.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/query"
    yield service
    await runner.cleanup()


async def audit(folder: Path, url: str, *packages: str, **environ: str) -> tuple[int, str]:
    """Exit status and output for a lock file of these packages."""
    lock = folder / "some.lock"
    lock.write_text("".join(f"{package} \\\n    --hash=sha256:{'0' * 64}\n" for package in packages))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, ROOT / "scripts" / "_audit.py", lock),
        env={"AUDIT_OSV_URL": url, "HOME": str(folder), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output = (await process.communicate())[0].decode()
    return process.returncode or 0, output


async def test_a_known_vulnerability_is_named_and_fails(advisories: Advisories, tmp_path: Path) -> None:
    status, output = await audit(tmp_path, advisories.url, "idna==3.6", "yarl==1.25.1")
    assert status == 1
    assert output == "  idna 3.6: PYSEC-2024-60, fixed in 3.7\naudited 2 packages, 1 known vulnerabilities\n"


async def test_what_was_looked_at_is_counted(advisories: Advisories, tmp_path: Path) -> None:
    status, output = await audit(tmp_path, advisories.url, "idna==3.20", "yarl==1.25.1")
    assert (status, output) == (0, "audited 2 packages, 0 known vulnerabilities\n")
    assert sorted(advisories.asked) == ["idna==3.20", "yarl==1.25.1"]


@pytest.mark.parametrize(("environ", "expected"), [({}, 0), ({"AUDIT_REQUIRED": "1"}, 1)])
@pytest.mark.parametrize("reachable", [True, False])
async def test_what_could_not_be_asked_is_said_and_fails_where_it_is_required(
    advisories: Advisories, tmp_path: Path, reachable: bool, environ: dict[str, str], expected: int
) -> None:
    advisories.status = 503
    url = advisories.url if reachable else "http://127.0.0.1:9/"
    status, output = await audit(tmp_path, url, "idna==3.6", **environ)
    assert status == expected
    assert output.startswith(f"NOT audited: advisories of {url} unreachable: ")
    assert "0 known" not in output


async def test_a_lock_that_cannot_be_read_is_no_excuse(advisories: Advisories, tmp_path: Path) -> None:
    status, output = await audit(tmp_path, advisories.url, "idna>=3")
    assert status == 1
    assert "cannot be audited" in output


@pytest.mark.parametrize("other", ["requirements.lock", "requirements-build.lock"])
def test_the_lock_that_is_audited_names_everything(other: str) -> None:
    def names(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text(), re.MULTILINE))

    assert names(other) <= names("requirements-dev.lock")
