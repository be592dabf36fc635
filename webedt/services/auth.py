"""Accounts and logins: who makes a request, proved by a token of which the database knows only an HMAC."""

import asyncio
import re
import secrets
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid4

import argon2

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Conflict, FieldError, InvalidRequest, NotFound, RateLimited, Unauthenticated
from webedt.domain.text import clean_text
from webedt.domain.users import LoginSession, Principal, User
from webedt.kernel import AService, BaseService
from webedt.services.login_tokens import LoginTokens

LOGIN_SECONDS = 30 * 24 * 3600.0
WINDOW_SECONDS = 60.0
MAX_EMAIL_LENGTH = 254
MAX_USER_AGENT_LENGTH = 400
PARALLEL_HASHES = 2
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")


class AAuth(AService):
    """`token` is what the client keeps; a login's `id` is public."""

    order: ClassVar[int] = 10

    @abstractmethod
    async def count_attempt(self, address: str) -> None:
        """Count a login or register attempt of this address, on all replicas. Raises `RateLimited`."""

    @abstractmethod
    async def register(
        self, email: str, password: str, display_name: str | None, user_agent: str | None
    ) -> tuple[Principal, str]:
        """Make an account and log in; returns the principal and the token. Raises `Conflict` when it is taken."""

    @abstractmethod
    async def login(self, email: str, password: str, user_agent: str | None) -> tuple[Principal, str]:
        """Raises `Unauthenticated`, after the same work and in the same words, for a wrong password or no such user."""

    @abstractmethod
    async def authenticate(self, token: str) -> Principal | None:
        """Who holds this token; one query, which also prolongs the login when half of its time is gone, and stores it
        under the newest secret."""

    @abstractmethod
    async def logins(self, user_id: UUID) -> Sequence[LoginSession]: ...

    @abstractmethod
    async def revoke(self, user_id: UUID, login_id: UUID) -> None:
        """End one login of the user and the streams behind it. Raises `NotFound`."""

    @abstractmethod
    async def revoke_all(self, user_id: UUID) -> None: ...


class Auth(BaseService, AAuth):
    def __init__(self, tokens: LoginTokens, attempts_per_minute: int) -> None:
        self._tokens = tokens
        self._limit = attempts_per_minute
        self._hasher = argon2.PasswordHasher()
        # argon2 takes 64 MiB and ~50 ms: off the loop, and only a few at a time.
        self._hashing = asyncio.Semaphore(PARALLEL_HASHES)
        self._nobody = ""
        self._sql = load_queries("users")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        # What a password is compared with when there is no such user, so that both take the same time.
        self._nobody = await asyncio.to_thread(self._hasher.hash, secrets.token_urlsafe(16))

    async def count_attempt(self, address: str) -> None:
        if not self._limit:
            return
        row = await self._database.fetchrow(self._sql["count_attempt"], f"auth:{address}", WINDOW_SECONDS)
        if row["attempts"] > self._limit:
            raise RateLimited(
                "Too many attempts from this address; wait a moment.",
                retry_after_seconds=max(1.0, float(row["remaining_seconds"])),
            )

    async def register(
        self, email: str, password: str, display_name: str | None, user_agent: str | None
    ) -> tuple[Principal, str]:
        address = _normalised(email)
        async with self._hashing:
            password_hash = await asyncio.to_thread(self._hasher.hash, _encodable(password))
        user_id = uuid4()
        name = clean_text(display_name).strip() or None if display_name else None

        async def work(connection: Any) -> Any:
            return await connection.fetchrow(self._sql["insert_user"], user_id, address, name, password_hash)

        async def look(connection: Any) -> Any:
            row = await connection.fetchrow(self._sql["find_user_by_email"], address)
            return row if row is not None and row["id"] == user_id else None

        row = await self._database.commit_once(work, look)
        if row is None:
            raise Conflict("This email address is taken.")
        return await self._open(_user(row), user_agent)

    async def login(self, email: str, password: str, user_agent: str | None) -> tuple[Principal, str]:
        try:
            address = _normalised(email)
        except InvalidRequest:
            address = ""  # nobody's: answered like an unknown user
        row = await self._database.fetchrow(self._sql["find_user_by_email"], address)
        stored = self._nobody if row is None else row["password_hash"]
        async with self._hashing:
            matches = await asyncio.to_thread(self._matches, stored, _encodable(password))
        if row is None or not matches:
            raise Unauthenticated("Email or password is wrong.")
        if self._hasher.check_needs_rehash(stored):
            async with self._hashing:
                renewed = await asyncio.to_thread(self._hasher.hash, _encodable(password))
            await self._database.fetch(self._sql["update_password_hash"], row["id"], renewed, stored)
        return await self._open(_user(row), user_agent)

    async def authenticate(self, token: str) -> Principal | None:
        row = await self._database.fetchrow(
            self._sql["authenticate"], self._tokens.digests(token), self._tokens.secret_id, LOGIN_SECONDS
        )
        if row is None:
            return None
        user = User(row["user_id"], row["email"], row["display_name"], row["user_created_at"])
        return Principal(user, _login(row), row["extended"])

    async def logins(self, user_id: UUID) -> Sequence[LoginSession]:
        return [_login(row) for row in await self._database.fetch(self._sql["list_logins"], user_id)]

    async def revoke(self, user_id: UUID, login_id: UUID) -> None:
        async def work(connection: Any) -> Any:
            return await connection.fetchval(self._sql["delete_login"], login_id, user_id)

        if await self.with_transaction(work) is None:
            raise NotFound("There is no such login session.")
        self._bus.publish(Topic.ACCESS, [login_id])

    async def revoke_all(self, user_id: UUID) -> None:
        async def work(connection: Any) -> Any:
            return await connection.fetch(self._sql["delete_logins"], user_id)

        rows = await self.with_transaction(work)
        self._bus.publish(Topic.ACCESS, [row["id"] for row in rows])

    async def _open(self, user: User, user_agent: str | None) -> tuple[Principal, str]:
        token = self._tokens.make()
        digest, *_ = self._tokens.digests(token)
        login_id = uuid4()
        agent = clean_text(user_agent)[:MAX_USER_AGENT_LENGTH] if user_agent else None
        # Harmless when carried out twice: the id is made here.
        row = await self._database.fetchrow(
            self._sql["insert_login"], login_id, digest, self._tokens.secret_id, user.id, agent, LOGIN_SECONDS
        )
        return Principal(user, _login(row)), token

    def _matches(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _normalised(email: str) -> str:
    """The address as it is stored; raises `InvalidRequest`."""
    address = email.strip().lower()
    if len(address) > MAX_EMAIL_LENGTH or not _EMAIL.fullmatch(address):
        raise InvalidRequest(
            "The email address is not valid.", errors=[FieldError("$.email", "must look like name@example.com")]
        )
    return address


def _encodable(password: str) -> bytes:
    return clean_text(password).encode()


def _user(row: Any) -> User:
    return User(row["id"], row["email"], row["display_name"], row["created_at"])


def _login(row: Any) -> LoginSession:
    return LoginSession(row["id"], row["created_at"], row["expires_at"], row["user_agent"])
