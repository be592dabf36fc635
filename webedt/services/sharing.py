"""Share links: whoever has one reads a session, its past and what is still to come, without a login.

A session has one link at most. To share it again gives the same link, with the expiry that is asked for now: two
devices that share at once, and one whose answer was lost, show the same. What is over stays over for those who still
have it: where a link was taken back, has expired, or its session was deleted (and perhaps restored), sharing makes
another one.

So the token must be shown again, and yet not be had from the database alone: it is the link's random id and an HMAC of
it, under a key that is derived from SESSION_SECRET. The database knows and finds the id; a guess fails here, without
being looked up. The price: a link ends with the secret under which it was shown, though several are accepted while
SESSION_SECRET is changed. Sharing again shows the link under the newest.
"""

import base64
import hashlib
import hmac
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID, uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Gone, NotFound
from webedt.domain.sharing import SharedSession, ShareLink, Visit
from webedt.kernel import AService, BaseService
from webedt.services.sessions import no_such_session

ID_BYTES = 16
KEY_BYTES = 32
SEEN = tuple(SharedSession.__struct_fields__)
# Its 48 bytes are base64 without padding and without loose bits, so that a token is spelled in one way only.
TOKEN_PATTERN = "[A-Za-z0-9_-]{64}"  # noqa: S105
_TOKEN = re.compile(TOKEN_PATTERN)


class ASharing(AService):
    order: ClassVar[int] = 10

    @abstractmethod
    async def share(self, user_id: UUID, session_id: UUID, expires_in_days: int | None) -> ShareLink:
        """The session's link, made if there is none that holds; it holds from now on for so long, None: until it is
        taken back. Raises `NotFound` when the session is not there, deleted, or not theirs."""

    @abstractmethod
    async def unshare(self, user_id: UUID, session_id: UUID) -> None:
        """Take the link back, if there is one, and end the streams behind it. Raises `NotFound`."""

    @abstractmethod
    async def visit(self, token: str) -> Visit:
        """What the link opens. Raises `NotFound`, also when its session was deleted, and `Gone` when it expired."""


class Sharing(BaseService, ASharing):
    def __init__(self, session_secrets: Sequence[str]) -> None:
        self._keys = [_derive(secret) for secret in session_secrets]
        self._sql = load_queries("sharing")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)

    async def share(self, user_id: UUID, session_id: UUID, expires_in_days: int | None) -> ShareLink:
        # Harmless when carried out twice: the id is made here.
        row = await self._database.fetchrow(self._sql["share_session"], session_id, user_id, uuid4(), expires_in_days)
        if row is None:
            raise no_such_session()
        return ShareLink(self._token(row["id"]), row["expires_at"])

    async def unshare(self, user_id: UUID, session_id: UUID) -> None:
        row = await self._database.fetchrow(self._sql["unshare_session"], session_id, user_id)
        if row is None:
            raise no_such_session()
        # Also when there was none: the answer to a first try may have been lost, and its signal with it.
        self._bus.publish(Topic.ACCESS, [session_id])

    async def visit(self, token: str) -> Visit:
        link_id = self._link_id(token)
        row = None if link_id is None else await self._database.fetchrow(self._sql["find_shared"], link_id)
        if row is None:
            raise NotFound("There is no such link.")
        if row["expired"]:
            raise Gone("This link has expired.")
        return Visit(row["link_id"], row["session_id"], SharedSession(**{name: row[name] for name in SEEN}))

    def _token(self, link_id: UUID) -> str:
        return base64.urlsafe_b64encode(link_id.bytes + _proof(self._keys[0], link_id.bytes)).decode()

    def _link_id(self, token: str) -> UUID | None:
        """The id of a link that was made here; None for everything else."""
        if not _TOKEN.fullmatch(token):
            return None
        raw = base64.urlsafe_b64decode(token)
        id_bytes, proof = raw[:ID_BYTES], raw[ID_BYTES:]
        proven = any(hmac.compare_digest(proof, _proof(key, id_bytes)) for key in self._keys)
        return UUID(bytes=id_bytes) if proven else None


def _derive(secret: str) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"webedt share links").derive(secret.encode())


def _proof(key: bytes, id_bytes: bytes) -> bytes:
    return hmac.new(key, id_bytes, hashlib.sha256).digest()
