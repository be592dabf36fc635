"""Users and their login sessions."""

from datetime import datetime
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


class Principal(msgspec.Struct, frozen=True):
    """Who makes a request: a user and the login that says so. `extended`: the login was prolonged by this request."""

    user: User
    session: LoginSession
    extended: bool = False
