"""What `scripts/image` found out, a line each."""

from pathlib import Path


class Findings:
    def __init__(self) -> None:
        self._bad = 0

    @property
    def exit_status(self) -> int:
        return 1 if self._bad else 0

    def check(self, sentence: str, holds: bool, seen: object = "") -> None:
        self._bad += not holds
        print(f"{'ok  ' if holds else 'BAD '} {sentence}{'' if seen == '' else f' ({seen})'}", flush=True)

    def measure(self, what: str, figure: str) -> None:
        print(f"     {what}: {figure}", flush=True)


def size_of(folder: Path) -> str:
    """What the files of a tree hold, each counted once."""
    files = {(found.st_dev, found.st_ino): found.st_size for path in folder.rglob("*") if (found := path.lstat())}
    return f"{sum(files.values()) / 1e6:.0f} MB in {len(files)} files"
