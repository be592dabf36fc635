"""One run of the tests and the PostgreSQL server that its workers share, started by the first test that asks for it.

Embedded PostgreSQL 18, unless `TEST_DATABASE_URL` names another server. The workers meet in a folder; the process that
made it (pytest's own, or xdist's controller) removes it and the server in the end, and what a killed run left behind.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from tests.support.postgres import DatabaseServer
from tests.support.small_disk import unmount
from webedt.database.embedded import EmbeddedPostgres

# Without fsync a clone is several times as fast. Only a crash of the machine could now lose a commit: what a killed
# server process has written is still with the operating system, so tests that crash the server prove the same.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}

FOLDER_PREFIX = "webedt-test-"


class Suite:
    """The folder of a run. `server()` may be called in every worker, `end()` only where the folder was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def server(self) -> DatabaseServer:
        """The server with its template; the first caller starts it while the others wait."""
        server = DatabaseServer(os.environ.get("TEST_DATABASE_URL", ""), self._prefix())
        with _locked(self.folder / "server.lock"):
            ready = self.folder / "server.url"
            if not ready.exists():
                url = server.url or EmbeddedPostgres(self.folder, settings=FAST_SETTINGS).start()
                run_blocking(DatabaseServer(url, server.prefix).make_template())
                ready.write_text(url)
            return DatabaseServer(ready.read_text(), server.prefix)

    def end(self) -> None:
        """Remove the server, or everything that this run made on the server that it was given."""
        url = os.environ.get("TEST_DATABASE_URL")
        if url and (self.folder / "server.lock").exists():
            run_blocking(DatabaseServer(url, self._prefix()).drop_all())
        _remove(self.folder)

    def _prefix(self) -> str:
        return f"webedt_test_{self.folder.name.removeprefix(FOLDER_PREFIX)}_"


@contextlib.contextmanager
def new_suite() -> Iterator[Suite]:
    """A suite for the time of the block; the lock on its folder says that its owner lives."""
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        _clear_away_if_abandoned(folder)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
    folder.chmod(0o711)  # the server's account must get to its own folder in here
    suite = Suite(folder)
    with _locked(folder / "owner.lock.new") as lock:
        Path(lock.name).rename(folder / "owner.lock")  # nobody sees it without the lock on it
        try:
            yield suite
        finally:
            suite.end()


def run_blocking(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine outside of any loop of the test runner, which `asyncio.run` in its own thread would disturb."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, coroutine).result()


def _clear_away_if_abandoned(folder: Path) -> None:
    """Remove an embedded server whose run was killed. One of another user's runs is left alone."""
    with contextlib.suppress(OSError), (folder / "owner.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a suite's folder with all servers in it, also those that a killed test left."""
    for home in list(folder.rglob("postgres-18")):
        server = EmbeddedPostgres(home.parent)
        server.stop("immediate")
        unmount(home)
        server.delete()
    shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
