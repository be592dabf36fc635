"""A file system of its own, small enough to be filled, so that one server's disk is full and not the machine's."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

BLOCK_BYTES = 64 * 1024


class CannotMount(Exception):
    """The text says why."""


class SmallDisk:
    """A tmpfs on `folder`, which must be empty; whoever owned the folder owns the disk."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._megabytes = megabytes
        self._ballast = folder / "ballast"

    def mount(self) -> None:
        owner = self.folder.stat()
        options = f"size={self._megabytes}m,uid={owner.st_uid},gid={owner.st_gid},mode=0700"
        program = shutil.which("mount")
        if program is None or os.geteuid() != 0:
            raise CannotMount("a disk that may be filled can only be mounted by root")
        done = subprocess.run(
            [program, "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            why = done.stderr.partition("\n")[0]
            raise CannotMount(f"a disk that may be filled cannot be mounted here: {why}")

    def fill(self) -> None:
        """Take what is left, to the last block. To be repeated: a database also gives space back."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(bytes(BLOCK_BYTES))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        unmount(self.folder)


def unmount(folder: Path) -> None:
    """Unmount what is mounted there, if anything is."""
    program = shutil.which("umount")
    if program is not None and folder.is_mount():
        subprocess.run([program, str(folder)], check=True)
