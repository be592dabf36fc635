"""A session as whoever holds its share link sees it."""

from datetime import datetime
from uuid import UUID

import msgspec

from webedt.domain.sessions import SessionStatus


class ShareLink(msgspec.Struct, frozen=True):
    """`token` opens the session to whoever has it; None for `expires_at`: until it is taken back."""

    token: str
    expires_at: datetime | None


class SharedSession(msgspec.Struct, frozen=True, rename="camel"):
    """What says what was asked and how far it is. What is the owner's affair is left out: the id (the token is its
    name here), repository and branch, the favourite, the trash."""

    title: str
    status: SessionStatus
    provider: str
    model: str | None
    last_event_id: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None


class Visit(msgspec.Struct, frozen=True):
    """What a good link opens. A `PassHolder`: its streams end with the link, and count as the link's, so that
    strangers never use up what its owner may open."""

    link_id: UUID
    session_id: UUID
    session: SharedSession

    @property
    def pass_id(self) -> UUID:
        return self.link_id

    @property
    def counts_as(self) -> UUID:
        return self.link_id
