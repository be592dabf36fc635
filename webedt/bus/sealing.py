"""What goes through a Redis that others may use, too: channels that name one database, and messages that only the
replicas on it can read or write.

A key comes from a SESSION_SECRET and from the *incarnation* of the database: which database of its server, and since
when that server runs. A copy of it elsewhere (a staging system made of a dump, or of a snapshot of the disk), a backup
that was restored, or a standby that took over is another incarnation. So a message about a log that is not ours, or is
ours no more, cannot be told from noise, whatever is in it. Sealed with AES-256-GCM: Redis sees none of the content.

While SESSION_SECRET is changed there are several: a replica speaks under its first and hears under all.
"""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

EVERYBODY = "all"
NONCE_BYTES = 12
NAME_BYTES = 8


class Realm:
    """The replicas of one incarnation. `incarnation`: any text that is the same for all of them."""

    def __init__(self, session_secrets: Sequence[str], incarnation: str) -> None:
        self._keys = dict(_derive(secret, incarnation) for secret in session_secrets)

    def channel(self, whom: str) -> str:
        """Where one replica, or `EVERYBODY`, is spoken to."""
        return self.channels(whom)[0]

    def channels(self, whom: str) -> list[str]:
        """Where that one hears: also what those say whose first secret is another."""
        return [f"webedt:{name}:{whom}" for name in self._keys]

    def seal(self, channel: str, message: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._keys[_name_in(channel)].encrypt(nonce, message, channel.encode())

    def open(self, channel: str, sealed: bytes) -> bytes | None:
        """None for what nobody of us has said there."""
        key = self._keys.get(_name_in(channel))
        if key is None:
            return None
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], channel.encode())
        except (InvalidTag, ValueError):  # ValueError: too short to have been sealed
            return None


def _derive(secret: str, incarnation: str) -> tuple[str, AESGCM]:
    derivation = HKDF(hashes.SHA256(), NAME_BYTES + 32, salt=None, info=f"webedt bus {incarnation}".encode())
    material = derivation.derive(secret.encode())
    return material[:NAME_BYTES].hex(), AESGCM(material[NAME_BYTES:])


def _name_in(channel: str) -> str:
    return channel.split(":")[1]
