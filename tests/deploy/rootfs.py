"""Executes a Dockerfile without a container engine: a Debian root by debootstrap, each stage an overlay on it, RUN by
chroot. Needs root, debootstrap and the network that a `docker build` needs.

Debian's Python stands for that of the official image: put where that has it, /usr/local/bin/python.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.deploy.dockerfile import Stage, Step, filled_in, read_dockerignore

# What the official images have beside Debian's minimum, as far as the Dockerfile uses it.
PACKAGES = "ca-certificates,python3,python3-venv"
MIRROR = "http://deb.debian.org/debian"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches its registries, which a build may use and an image must not contain.
PASSED = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT")


def run(*command: str, **more: object) -> None:
    subprocess.run(command, check=True, **more)  # type: ignore[call-overload]


def make_base(folder: Path, suite: str) -> Path:
    """The root of `FROM`, made once and kept."""
    root = folder / suite
    if not (root / "usr/local/bin/python").exists():
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(root), MIRROR)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    return root


class Built:
    """A stage that was carried out: its files, and what it says of the process to start."""

    def __init__(self, root: Path, added: Path) -> None:
        self.root = root
        self.added = added  # what is not the base's
        self.environment = {"PATH": DEFAULT_PATH}
        self.folder = "/"
        self.user = "0"
        self.said: dict[str, Step] = {}


class Builder:
    """`arguments` are build arguments. Mounts are undone by `close`."""

    def __init__(self, context: Path, work: Path, base: Path, arguments: Mapping[str, str]) -> None:
        self._context, self._work, self._base, self._arguments = context, work, base, arguments
        self._ignored = read_dockerignore((context / ".dockerignore").read_text())
        self._built: dict[str, Built] = {}
        self._mounts = contextlib.ExitStack()

    def close(self) -> None:
        self._mounts.close()

    def build(self, stages: list[Stage]) -> Built:
        for stage in stages:
            built = self._built[stage.name] = self._overlay(stage.name)
            arguments: dict[str, str] = {}
            for step in stage.steps:
                print(f"   {step.instruction} {step.text[:100]}", flush=True)
                self._carry_out(step, built, arguments)
        return built

    def _overlay(self, name: str) -> Built:
        upper, scratch, root = (self._work / name / part for part in ("upper", "scratch", "root"))
        for path in (upper, scratch, root):
            path.mkdir(parents=True)
        layers = f"lowerdir={self._base},upperdir={upper},workdir={scratch}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
        self._mounts.callback(run, "umount", str(root))
        return Built(root, upper)

    def _carry_out(self, step: Step, built: Built, arguments: dict[str, str]) -> None:
        values = {**arguments, **built.environment}
        match step.instruction:
            case "ARG":
                for name, default in step.assignments.items():
                    arguments[name] = self._arguments.get(name, default)
            case "ENV":
                built.environment |= {name: filled_in(value, values) for name, value in step.assignments.items()}
            case "WORKDIR":
                built.folder = str(Path(built.folder) / step.text)
                (built.root / built.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                built.user = step.text
            case "COPY":
                self._copy(step, built)
            case "RUN":
                self._run(step, built, values)
            case other:
                built.said[other] = step

    def _copy(self, step: Step, built: Built) -> None:
        """A folder's content goes into the target, as Docker has it; what .dockerignore leaves out does not."""
        *sources, target = step.words
        to = built.root / str(Path(built.folder) / target).lstrip("/")
        of = self._built[step.flags["from"]].root if "from" in step.flags else None
        for source in sources:
            path = (of or self._context) / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, to, symlinks=True, dirs_exist_ok=True, ignore=None if of else self._left_out)
            else:
                shutil.copy2(path, to / path.name if target.endswith("/") else to)

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(self._context)
        return {name for name in names if self._ignored(inside / name)}

    def _run(self, step: Step, built: Built, values: Mapping[str, str]) -> None:
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        command = f"cd {shlex.quote(built.folder)} && {step.text}"
        with _connected(built.root):
            run(
                "chroot", str(built.root), "/bin/sh", "-c", command, env={**passed, **values}, stdout=subprocess.DEVNULL
            )


@contextlib.contextmanager
def _connected(root: Path) -> Iterator[None]:
    """The kernel's file systems and how this machine reaches its registries, for the time of a RUN."""
    with contextlib.ExitStack() as undone:
        for kind in ("proc", "dev"):
            run("mount", *(["-t", "proc", "proc"] if kind == "proc" else ["--rbind", "/dev"]), str(root / kind))
            run("mount", "--make-rprivate", str(root / kind))
            undone.callback(run, "umount", "--recursive", str(root / kind))
        for name in ("resolv.conf", "pip.conf", "ssl/certs/ca-certificates.crt"):
            ours, theirs = Path("/etc") / name, root / "etc" / name
            if ours.exists():
                if not theirs.exists():
                    theirs.touch()
                    undone.callback(theirs.unlink)
                run("mount", "--bind", str(ours), str(theirs))
                undone.callback(run, "umount", str(theirs))
        yield
