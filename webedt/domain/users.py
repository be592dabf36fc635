"""Users and their login sessions."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class User(msgspec.Struct, frozen=True):
    id: UUID
    email: str
    display_name: str | None
    created_at: datetime


class LoginSession(msgspec.Struct, frozen=True):
    """One login. `id` is public and logs nobody in; the token is known only to the client."""

    id: UUID
    created_at: datetime
    expires_at: datetime
    user_agent: str | None = None


class PassHolder(Protocol):
    """Who opens a stream. `pass_id`: the login or share link that must hold for as long as the stream is open;
    `counts_as`: whose limit the stream counts against, a user's or a share link's."""

    @property
    def pass_id(self) -> UUID: ...

    @property
    def counts_as(self) -> UUID: ...


class Principal(msgspec.Struct, frozen=True):
    """Who makes a request: a user and the login that says so. `extended`: the login was prolonged by this request."""

    user: User
    session: LoginSession
    extended: bool = False

    @property
    def pass_id(self) -> UUID:
        return self.session.id

    @property
    def counts_as(self) -> UUID:
        return self.user.id
