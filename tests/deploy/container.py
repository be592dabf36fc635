"""Starts a built root as a container engine would: own processes and mounts, a read-only root, /tmp in memory, a user
without rights. The network is this machine's.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.deploy.rootfs import Built

# Process 1 sets the scene and becomes the program.
SCENE = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$1/tmp"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
mkdir "$1/dev/shm"
for name in null zero full random urandom; do
    touch "$1/dev/$name"
    mount --bind "/dev/$name" "$1/dev/$name"
done
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
"""
WITHOUT_RIGHTS = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


class Container:
    def __init__(self, built: Built, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._built = built
        self._environment = {**built.environment, **environment}
        inside = ["chroot", "$1", *self._as_user(), "--", *arguments]
        quoted = " ".join(word if word == "$1" else f"'{word}'" for word in inside)
        self._log = log
        scene = f"{SCENE}\ncd '{built.root}{built.folder}'\nexec {quoted}"
        command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", scene, "sh", str(built.root)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def _as_user(self) -> list[str]:
        return ["setpriv", f"--reuid={self._built.user}", f"--regid={self._built.user}", *WITHOUT_RIGHTS]

    @property
    def first_process(self) -> int:
        """Process 1 of the container, as this machine numbers it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.first_process, number)

    def kill(self) -> None:
        """Process 1, and with it all others. (unshare's --kill-child is undone where the user is changed.)"""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def execute(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """What `docker exec` does, and what runs a HEALTHCHECK; `more` is added to the environment."""
        entered = ["nsenter", f"--target={self.first_process}", "--mount", "--pid", "--root", "--wdns=/tmp"]
        return subprocess.run(
            [*entered, *self._as_user(), "--", *arguments],
            env={**self._environment, **more},
            capture_output=True,
            text=True,
        )

    def zombies(self) -> int:
        """Ended processes that nobody has asked about."""
        lines = self.execute("sh", "-c", "cat /proc/[0-9]*/stat").stdout.splitlines()
        return sum(line.rpartition(")")[2].split()[0] == "Z" for line in lines)


@contextlib.contextmanager
def started(built: Built, arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Container]:
    container = Container(built, arguments, environment, log)
    try:
        yield container
    finally:
        container.kill()
