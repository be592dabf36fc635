"""Notifications that are lost or late on their way from PostgreSQL, while all else on that connection comes through.

What the server sends is a row of messages: one byte of type, four of length (which counts itself), the content. `A` is
a notification: the process of its sender, then channel and payload, each ended by a zero byte.
"""

import asyncio
import random
import struct

HEAD = struct.Struct("!cI")


class NotificationFaults:
    """What befalls notifications: a share is lost, the others come late. Counts what it did.

    With `spare_pings` a replica goes on to hear itself, so that nothing tells it that it does not hear the others.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.lost_share = 0.0
        self.longest_delay_seconds = 0.0
        self.spare_pings = False
        self.lost = 0
        self.late = 0

    def befall(self, message: bytes) -> float | None:
        """How late this one comes, in seconds; None: never."""
        if self.spare_pings and b'"ping"' in message:
            return 0.0
        if self._dice.random() < self.lost_share:
            self.lost += 1
            return None
        if not self.longest_delay_seconds:
            return 0.0
        self.late += 1
        return self._dice.uniform(0.0, self.longest_delay_seconds)


class Sieve:
    """The answers of one connection, from its first byte on; what was kept back for a while goes to `writer` itself."""

    def __init__(self, faults: NotificationFaults, writer: asyncio.StreamWriter) -> None:
        self._faults = faults
        self._writer = writer
        self._pending = b""

    def take(self, data: bytes) -> bytes:
        """What of it passes at once: whole messages, so that a late one never stands within another."""
        self._pending += data
        passing = b""
        while len(self._pending) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._pending)
            if len(self._pending) <= length:
                break
            message, self._pending = self._pending[: length + 1], self._pending[length + 1 :]
            delay = self._faults.befall(message) if kind == b"A" else 0.0
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send_late, message)
            elif delay is not None:
                passing += message
        return passing

    def _send_late(self, message: bytes) -> None:
        if not self._writer.transport.is_closing():
            self._writer.write(message)
