"""Where logins are kept between commands: one token a server, in a file that only its owner can read."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webedt.cli.errors import CommandError


def credentials_path(environ: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/webedt/credentials.json`, by default under `~/.config`."""
    configured = Path(environ.get("XDG_CONFIG_HOME") or "")
    # A relative path is to be ignored, says the XDG base directory specification.
    base = configured if configured.is_absolute() else Path.home() / ".config"
    return base / "webedt" / "credentials.json"


class CredentialStore:
    """The file `{"servers": {url: {"token", "email"}}}`. Raises CommandError when it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token_for(self, url: str) -> str | None:
        """The token of the last login to `url`, or None."""
        login = self._read().get(url)
        token = login.get("token") if isinstance(login, dict) else None
        return token if isinstance(token, str) and token else None

    def save(self, url: str, *, token: str, email: str) -> None:
        """Keep the login to `url` in place of an earlier one; the file is replaced as a whole or not at all."""
        self._write({**self._read(), url: {"token": token, "email": email}})

    def forget(self, url: str) -> bool:
        """Remove the login to `url`; False if there was none."""
        servers = self._read()
        if servers.pop(url, None) is None:
            return False
        self._write(servers)
        return True

    def _write(self, servers: dict[str, Any]) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._replace(json.dumps({"servers": servers}, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise CommandError(f"cannot write {self._path}: {error.strerror or error}") from error

    def _replace(self, text: str) -> None:
        # mkstemp creates the file with mode 0600, so the token is at no moment readable for others.
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".credentials-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _read(self) -> dict[str, Any]:
        try:
            servers = json.loads(self._path.read_text(encoding="utf-8"))["servers"]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CommandError(f"cannot read {self._path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{self._path} is damaged: delete it, then run `webedt login EMAIL`") from error
        if not isinstance(servers, dict):
            raise CommandError(f"{self._path} is damaged: delete it, then run `webedt login EMAIL`")
        return servers
