"""`webedt share` and `webedt files` against a real replica: links that end, bytes that arrive as they left."""

import asyncio
import json
import os
from pathlib import Path

import aiohttp

from tests.support.command_line import CommandLine
from tests.support.fleet import start_fleet


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(".webedt-*"))


async def test_links_and_files_of_a_session(database_url: str, tmp_path: Path) -> None:
    blob = os.urandom(700_000)
    (tmp_path / "blob.bin").write_bytes(blob)
    storage = {"STORAGE_URL": f"file://{tmp_path}/files"}
    async with start_fleet(database_url, 1, **storage) as fleet, fleet.caller() as caller:
        webedt = CommandLine(tmp_path, fleet[0].url)
        webedt.environment["WEBEDT_TOKEN"] = fleet.token
        session_id = (await caller.start(fleet[0], "[[tokens=1 rate=0]]")).session_id

        shared, put, piped, missing = await asyncio.gather(
            webedt("share", session_id, "--days", "1", "--json"),
            webedt("files", "put", session_id[:8], str(tmp_path / "blob.bin"), "sub/a blob.bin"),
            webedt("files", "put", session_id, "-", "note.txt", stdin="from a pipe\x1b[2J"),
            webedt("files", "get", session_id, "nothing.txt", "-o", "-"),
        )
        assert (put.status, put.out, piped.status, missing.status) == (0, "sub/a blob.bin: 700 kB\n", 0, 3)
        link = json.loads(shared.out)["url"]
        assert json.loads(shared.out)["expiresAt"].endswith("Z")
        token = json.loads(shared.out)["shareToken"]
        assert token in link

        target = tmp_path / "fetched.bin"
        listed, got, printed, refused = await asyncio.gather(
            webedt("files", "ls", session_id, "--json"),
            webedt("files", "get", session_id, "sub/a blob.bin", "--output", str(target)),
            webedt("files", "get", session_id, "note.txt", "-o", "-"),
            webedt("files", "get", session_id, "note.txt", "-o", str(tmp_path / "blob.bin")),
        )
        assert {file["path"]: file["size"] for file in map(json.loads, listed.out.splitlines())} == {
            "sub/a blob.bin": len(blob),
            "note.txt": len("from a pipe\x1b[2J"),
        }
        assert (got.status, target.read_bytes() == blob) == (0, True)
        assert printed.out == "from a pipe\x1b[2J"  # a file is a file: its bytes go through a pipe as they are
        assert (refused.status, "--force" in refused.err) == (2, True)
        assert (tmp_path / "blob.bin").read_bytes() == blob
        assert leftovers(tmp_path) == []

        async with webedt.at_terminal("files", "get", session_id, "note.txt", "-o", "-") as session:
            assert await session.ended() == 0
            assert session.screen.text() == "from a pipe␛[2J"

        async with aiohttp.ClientSession() as http:
            async with http.get(f"{fleet[0].url}/api/shared/{token}") as answer:
                assert answer.status == 200
            removed, unshared = await asyncio.gather(
                webedt("files", "rm", session_id, "note.txt", "sub/a blob.bin"), webedt("unshare", session_id[:8])
            )
            assert (removed.status, unshared.status) == (0, 0)
            async with http.get(f"{fleet[0].url}/api/shared/{token}") as answer:
                assert answer.status == 404
        assert (await webedt("files", "ls", session_id, "--json")).out == ""
