"""Encryption at rest of what users entrust to us: AES-256-GCM, under keys that can be changed.

A sealed text carries the id of the key that sealed it, so that an older key keeps opening what it sealed as long as it
is configured. What it belongs to (user and provider) is authenticated with it: moved to another row it does not open.
"""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_ID_BYTES = 8


class CannotOpen(Exception):
    """None of the configured keys sealed it, or it was sealed for something else, or it is damaged."""


class Sealer:
    """The first passphrase seals, all open. They are texts of any length; keys are derived from them (HKDF-SHA-256)."""

    def __init__(self, passphrases: Sequence[str]) -> None:
        self._keys = dict(_derive(passphrase) for passphrase in passphrases)
        self.key_id, *older = self._keys
        self.older_key_ids: Sequence[bytes] = older

    def seal(self, text: str, belongs_to: str) -> bytes:
        """Nonce and ciphertext, sealed by the key `key_id`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._keys[self.key_id].encrypt(nonce, text.encode(), belongs_to.encode())

    def open(self, sealed: bytes, key_id: bytes, belongs_to: str) -> str:
        """Raises `CannotOpen`."""
        key = self._keys.get(key_id)
        if key is None:
            raise CannotOpen
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belongs_to.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to have been sealed
            raise CannotOpen from None

    def opens(self, sealed: bytes, key_id: bytes, belongs_to: str) -> bool:
        """Whether `open` would do."""
        try:
            self.open(sealed, key_id, belongs_to)
        except CannotOpen:
            return False
        return True


def _derive(passphrase: str) -> tuple[bytes, AESGCM]:
    derivation = HKDF(hashes.SHA256(), KEY_ID_BYTES + 32, salt=None, info=b"webedt credentials")
    material = derivation.derive(passphrase.encode())
    return material[:KEY_ID_BYTES], AESGCM(material[KEY_ID_BYTES:])
