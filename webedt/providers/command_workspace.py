"""What a command finds when it begins: its session's directory, the prompt's images in it, the prompt on stdin."""

import base64
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from webedt.providers.interface import RunRequest


def root_directory(configured: str) -> Path:
    """COMMAND_DIRECTORY, or one below the temporary folder: of this account, for its name must not be anybody's."""
    return Path(configured or Path(tempfile.gettempdir()) / f"webedt-commands-{os.geteuid()}").absolute()


def prepare(root: Path, request: RunRequest, stdin: BinaryIO, in_shared_folder: bool) -> Path:
    """Make the session's directory, which follow-ups find again, and write what goes to `stdin`. Blocks.

    Raises `OSError`. Of what comes from outside nothing but the session's id, a UUID, is part of a path.
    `in_shared_folder`: others may write where the root stands, so that it has to be looked at.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if in_shared_folder:
        found = root.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or root.is_symlink():
            raise PermissionError(f"{root} belongs to somebody else, or others may write there")
    directory = root / str(request.session_id)
    directory.mkdir(mode=0o700, exist_ok=True)
    lines: list[str] = []
    for number, block in enumerate(request.prompt, 1):
        if block["type"] == "text":
            lines.append(block["text"])
        else:
            name = f"prompt-{request.run_id}-{request.attempt}-{number}.{_ending(block)}"
            _write_new(directory / name, _decoded(block["source"]["data"]))
            lines.append(f"[image: {name}]")
    stdin.write("\n".join([*lines, ""]).encode())
    stdin.seek(0)
    return directory


def _write_new(path: Path, content: bytes) -> None:
    """Never through a link that an earlier command of the session may have put there: it may have fewer rights."""
    with path.open("xb") as file:
        file.write(content)


def _ending(block: dict[str, Any]) -> str:
    return str(block["source"]["media_type"]).rpartition("/")[2]


def _decoded(text: str) -> bytes:
    """Base64, whose padding the contract does not insist on."""
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
