"""The OpenAPI document and the answers agree. Schemathesis reads the one, asks in every way that it allows and in many
that it does not, and judges the other: statuses, media types, schemas, events, methods, logins, and that good requests
are accepted and bad ones refused. What no document describes (raw bytes, broken JSON, odd headers) is test_fuzz.py's.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from tests.http.client import LONG, PASSWORD, SHORT, Running, new_email, token

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 120


async def test_the_document_and_the_answers_agree(app: Running, tmp_path: Path) -> None:
    user, leaver = await app.register(), new_email()
    other = await app.register(leaver)
    session_id, busy_session_id = await user.finish(SHORT), (await user.start(LONG))["sessionId"]
    # What it makes up depends on the constants of modules that it happens to import: that it finds a file is not left
    # to that. In a session of its own, for it deletes the others.
    file_session_id = await user.finish(SHORT)
    await user.ask("PUT", f"/api/sessions/{file_session_id}/files/notes.txt", b"to be found")
    (tmp_path / "file-sessions.txt").write_text(f'"{file_session_id}"\n')
    (tmp_path / "files.txt").write_text('"notes.txt"\n')
    (tmp_path / "sessions.txt").write_text(f'"{session_id}"\n')
    (tmp_path / "busy-sessions.txt").write_text(f'"{busy_session_id}"\n')
    # Of a session that the user cannot delete.
    share = (await other.post(f"/api/sessions/{await other.finish(SHORT)}/share")).json()["shareToken"]
    (tmp_path / "shares.txt").write_text(f'"{share}"\n')
    shutil.copy(Path(__file__).with_name("schemathesis.toml"), tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{app.origin}/api/openapi.json", "--no-color"),
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TOKEN": token(user),
            "SESSION": session_id,
            "ORIGIN": app.origin,
            "LEAVER": leaver,
            "PASSWORD": PASSWORD,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(MOST_SECONDS):
            report = (await process.communicate())[0].decode()
    except TimeoutError:
        process.kill()
        raise
    print(report)  # shown if it fails
    assert process.returncode == 0
