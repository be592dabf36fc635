"""What is stored of login tokens instead of them: HMACs, under secrets that can be changed.

The first secret signs, all verify. Which one a login is stored under is kept beside it by an id, so that it can be told
when nobody needs an older one any more.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN_BYTES = 32
SECRET_ID_BYTES = 8


class LoginTokens:
    def __init__(self, session_secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in session_secrets]
        self.secret_id, *older = [_id_of(secret) for secret in self._secrets]
        self.older_secret_ids: Sequence[bytes] = older

    def make(self) -> str:
        return secrets.token_urlsafe(TOKEN_BYTES)

    def digests(self, token: str) -> list[bytes]:
        """Under every secret, the first one's first: under that it is to be stored."""
        text = token.encode("utf-8", "replace")
        return [hmac.new(secret, text, hashlib.sha256).digest() for secret in self._secrets]


def _id_of(secret: bytes) -> bytes:
    return HKDF(hashes.SHA256(), SECRET_ID_BYTES, salt=None, info=b"webedt login secret id").derive(secret)
