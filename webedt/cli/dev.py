"""`webedt dev`: PostgreSQL, migrations and any number of instances with one command, until Ctrl-C.

Owns the order in which these start and stop. The instances are ordinary `webedt serve` processes; this one never
serves anything, so whatever is killed among them shows what a deployment would do.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import parse_qs, urlsplit

import asyncpg

from webedt.cli.dev_database import DevDatabase
from webedt.cli.dev_instances import Instance, Instances
from webedt.cli.dev_welcome import demo_token, is_ready, welcome
from webedt.cli.errors import USAGE, CommandError
from webedt.cli.faults import settings_or_fail
from webedt.database.embedded import EmbeddedPostgresError
from webedt.database.migrations import migrate

READY_TIMEOUT_SECONDS = 60
MAX_PORT = 65535
LOOPBACK = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `webedt dev`."""
    parser.add_argument("--instances", type=_at_least_one, default=1, metavar="N", help="how many to run (1)")
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("PORT") or "3001",
        help="of the first; the next ones follow it (PORT, 3001)",
    )


def run(args: argparse.Namespace) -> int:
    """Run until a signal comes, which is no failure. Raises CommandError for whatever the user can put right."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # while things start, both signals mean: not any more
    try:
        with contextlib.ExitStack() as stack:
            _run(args, stack)
    except KeyboardInterrupt:
        pass
    except EmbeddedPostgresError as error:
        raise CommandError(str(error)) from error
    return 0


def _run(args: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    data_dir = Path(os.environ.get("WEBEDT_DATA_DIR") or ".webedt").absolute()
    stack.enter_context(_only_one(data_dir))
    ports = range(args.port, args.port + args.instances)
    if ports[-1] > MAX_PORT:
        raise CommandError(
            f"there are no {args.instances} ports from {args.port} on; use a lower --port", exit_status=USAGE
        )
    for port in ports:
        _check_port(port)
    given_url = os.environ.get("DATABASE_URL")
    shared = {
        "HOST": LOOPBACK,  # nobody else on the network is to use the demo login
        "LB_DRAIN_DELAY_SECONDS": "0",  # there is no balancer to wait for
        "AUTH_RATE_LIMIT_PER_MINUTE": "0",  # nobody guesses the demo password, but every start logs in
        **os.environ,
        "DATABASE_URL": given_url or "postgresql://",  # that of the embedded one is not known yet
        "DATABASE_DIRECT_URL": os.environ.get("DATABASE_DIRECT_URL", "") if given_url else "",
        "SESSION_SECRET": os.environ.get("SESSION_SECRET") or _session_secret(data_dir),
        "STORAGE_URL": os.environ.get("STORAGE_URL") or (data_dir / "files").as_uri(),
        "WEBEDT_ENV": "development",
        "PORT": str(args.port),
    }
    # All faults at once, before anything is started that would end by them one after the other.
    direct_url = settings_or_fail(shared).database_direct_url
    embedded = None if given_url else stack.enter_context(DevDatabase(data_dir))
    database_url = shared["DATABASE_URL"] = given_url or (embedded.url if embedded else "")
    _migrate(direct_url or database_url)
    instances = Instances([Instance(f"dev-{number}", port, shared) for number, port in enumerate(ports, start=1)])
    stop = _StopSignals()
    with instances:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not (stop.asked or all(is_ready(port) for port in ports)):
            if ended := instances.ended():
                raise CommandError(f"{ended.name} ended with code {ended.exit_code}; it says why above")
            if time.monotonic() > deadline:
                raise CommandError(f"not ready within {READY_TIMEOUT_SECONDS} s; the instances say why above")
            time.sleep(0.1)
        if not stop.asked:
            print(welcome(ports, demo_token(ports[0]) if _is_local(database_url) else None), flush=True)
        while not stop.asked:
            if embedded is not None:
                embedded.restart_if_ended()
            instances.restart_ended()
            time.sleep(0.1)
        print("Stopping", flush=True)


class _StopSignals:
    """Remembers the first signal while instances run, as an exception could lose one of them; the next one raises."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._remember)
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"another one is running on {data_dir}; stop it or set WEBEDT_DATA_DIR", exit_status=USAGE
            ) from None
        yield


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the instance does; not stopped by TIME_WAIT
        try:
            probe.bind((os.environ.get("HOST") or LOOPBACK, port))
        except OSError:
            raise CommandError(f"port {port} is taken; use --port or stop the other one", exit_status=USAGE) from None


def _migrate(database_url: str) -> None:
    try:
        asyncio.run(migrate(database_url))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(
            f"cannot migrate the database: {error or type(error).__name__}", exit_status=USAGE
        ) from error


def _is_local(database_url: str) -> bool:
    """Whether the database is on this machine; only there may a user exist whose password everybody knows."""
    parts = urlsplit(database_url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    return host.startswith("/") or host in ("localhost", LOOPBACK, "::1")


def _session_secret(data_dir: Path) -> str:
    """The same at every start, so that a restart logs nobody out."""
    path = data_dir / "session-secret"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text()


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"must be between 1 and {MAX_PORT}")
    return number
