"""A real PgBouncer in transaction mode, with the configuration that is shipped, in front of a test's PostgreSQL.

Where no `pgbouncer` is installed the tests that need one are skipped; with `REQUIRE_SERVERS=1` they fail. `PGBOUNCER`
names another program than Debian's. It refuses to run as root, and runs as `nobody` then, as the embedded server does.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import pytest

from tests.support.ports import free_port
from webedt.database.embedded_files import ServerAccount

SHIPPED = Path(__file__).parents[2] / "deploy" / "pgbouncer" / "pgbouncer.ini"
START_SECONDS = 10.0
MISSING = "there is no pgbouncer here: install it (Debian: `apt-get install pgbouncer`)"
PASSWORD = "of-the-tests"

# As in `tests.support.fleet`: it dies with its parent, however that dies. Its account comes first, for whoever changes
# that slips the leash.
LEASH = """
import ctypes, os, signal, sys
parent, uid, gid = map(int, sys.argv[1:4])
if os.geteuid() != uid:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != parent:
    sys.exit("the parent is gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


def pgbouncer_program() -> str:
    """The program, or nothing. Fails where there has to be one."""
    named = os.environ.get("PGBOUNCER") or "pgbouncer"
    found = shutil.which(named, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if not found and (os.environ.get("REQUIRE_SERVERS") == "1" or os.environ.get("PGBOUNCER")):
        pytest.fail(MISSING)
    return found or ""


def need_pgbouncer() -> None:
    """Skip the test where there is no PgBouncer."""
    if not pgbouncer_program():
        pytest.skip(MISSING)


def pgbouncer_version() -> tuple[int, ...]:
    said = subprocess.run([pgbouncer_program(), "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(int(part) for part in said.split()[1].split("."))


class PgBouncer:
    """In front of the server of `database_url`, for all its databases; keeps its port over all its restarts.

    `settings` are those of its section `[pgbouncer]` that are to be other than in the shipped configuration.
    """

    def __init__(self, database_url: str, **settings: object) -> None:
        self._server = urlsplit(database_url)
        self.port = free_port()
        self._account = ServerAccount()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="webedt-pgbouncer-"))
        asked = parse_qs(self._server.query)
        host = self._server.hostname or asked["host"][0]
        port = self._server.port or int(asked.get("port", ["5432"])[0])
        own = {"listen_addr": "127.0.0.1", "listen_port": self.port, "auth_file": self._folder / "userlist.txt"}
        # Of two lines the later one counts; a second heading of the section would forget what stands below the first.
        changes = [f"{name} = {value}" for name, value in {**own, **settings}.items()]
        shipped = SHIPPED.read_text().replace("host=postgres port=5432", f"host={host} port={port}")
        self._write("pgbouncer.ini", "\n".join([shipped, *changes, ""]))
        self._write("userlist.txt", f'"{self._user}" "{self._password}"\n')
        self._account.own(self._folder)

    @property
    def _user(self) -> str:
        return self._server.username or "postgres"

    @property
    def _password(self) -> str:
        return self._server.password or PASSWORD

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.write_text(text)
        os.chown(path, self._account.uid, self._account.gid)

    def url_of(self, database_url: str) -> str:
        """The way through it to a database of its server."""
        netloc = f"{self._user}:{quote(self._password)}@127.0.0.1:{self.port}"
        return urlunsplit(urlsplit(database_url)._replace(netloc=netloc, query="sslmode=disable"))

    # Its life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """To be called in the main thread: it dies with the thread that started it. Raises `FileNotFoundError` where
        none is installed."""
        program = pgbouncer_program()
        if not program:
            raise FileNotFoundError("pgbouncer")
        identity = [str(number) for number in (os.getpid(), self._account.uid, self._account.gid)]
        command = [sys.executable, "-I", "-S", "-c", LEASH, *identity, program, str(self._folder / "pgbouncer.ini")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"pgbouncer does not start:\n{self.log()[-2000:]}")
            time.sleep(0.01)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("pgbouncer does not run")
        return self._process

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def pause(self) -> None:
        """Its command PAUSE: what is under way ends, what is new waits."""
        self.process.send_signal(signal.SIGUSR1)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def pgbouncer(database_url: str, **settings: object) -> Iterator[PgBouncer]:
    """A running one for the time of the block, in front of the server of this database."""
    need_pgbouncer()
    server = PgBouncer(database_url, **settings)
    try:
        server.start()
        yield server
    finally:
        server.close()
