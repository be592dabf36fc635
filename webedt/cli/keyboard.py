"""Reading single keys from the person, also when standard input is a pipe; the terminal is given back as it was."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any


class Keyboard:
    """Calls `on_key` for each key between `open` and `close`. Ctrl-C stays a signal."""

    def __init__(self, on_key: Callable[[str], None]) -> None:
        self._on_key = on_key
        self._descriptor: int | None = None
        self._own_descriptor: int | None = None
        self._settings: list[Any] = []

    def open(self) -> bool:
        """Begin to listen; False where there is no terminal, or where it belongs to another job now."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = self._terminal()
            self._settings = termios.tcgetattr(descriptor)
            if not _in_foreground(descriptor):
                self.close()
                return False
            tty.setcbreak(descriptor, termios.TCSANOW)
        except (OSError, termios.error):
            self.close()
            return False
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._read)
        return True

    def close(self) -> None:
        """Stop listening. May be called at any time, also again."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._settings)
            self._descriptor = None
        if self._own_descriptor is not None:
            os.close(self._own_descriptor)
            self._own_descriptor = None

    def _terminal(self) -> int:
        if sys.stdin is not None and sys.stdin.isatty():
            return sys.stdin.fileno()
        self._own_descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        return self._own_descriptor

    def _read(self) -> None:
        if self._descriptor is None:
            return
        try:
            typed = os.read(self._descriptor, 64)
        except OSError:
            typed = b""
        if not typed:
            self.close()
            return
        # An arrow key comes as several characters that begin with escape; it is one key, and none of ours.
        text = typed.decode(errors="replace")
        for key in ["\x1b"] if text.startswith("\x1b") else text:
            self._on_key(key)


def _in_foreground(descriptor: int) -> bool:
    """A job in the background would be stopped by the kernel if it changed the terminal."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # Not our controlling terminal, so nobody controls jobs on it.
