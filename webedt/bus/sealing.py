"""What goes through a Redis that others may use, too: channels that name one database, and messages that only the
replicas on it can read or write.

The key comes from SESSION_SECRET and from the *incarnation* of the database: which database of its server, and since
when that server runs. A copy of it elsewhere (a staging system made of a dump, or of a snapshot of the disk), a backup
that was restored, or a standby that took over is another incarnation. So a message about a log that is not ours, or is
ours no more, cannot be told from noise, whatever is in it. Sealed with AES-256-GCM: Redis sees none of the content.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

EVERYBODY = "all"
NONCE_BYTES = 12
NAME_BYTES = 8


class Realm:
    """The replicas of one incarnation. `incarnation`: any text that is the same for all of them."""

    def __init__(self, secret: str, incarnation: str) -> None:
        derivation = HKDF(hashes.SHA256(), NAME_BYTES + 32, salt=None, info=f"webedt bus {incarnation}".encode())
        material = derivation.derive(secret.encode())
        self._name = material[:NAME_BYTES].hex()
        self._key = AESGCM(material[NAME_BYTES:])

    def channel(self, whom: str) -> str:
        """The channel of one replica, or of `EVERYBODY`."""
        return f"webedt:{self._name}:{whom}"

    def seal(self, channel: str, message: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, message, channel.encode())

    def open(self, channel: str, sealed: bytes) -> bytes | None:
        """None for what nobody of us has said there."""
        try:
            return self._key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], channel.encode())
        except (InvalidTag, ValueError):  # ValueError: too short to have been sealed
            return None
