"""The contract of the file store: objects that are written once, whole or not at all, and never changed."""

from abc import ABC, abstractmethod
from typing import ClassVar

from webedt.domain.errors import Unavailable
from webedt.kernel import AService


class StoreUnavailable(Unavailable):
    """The store did not do it, or not in time. Whether it was done is not known."""

    def __init__(self) -> None:
        super().__init__("The file store is not available.", retry_after_seconds=5.0)


class ObjectMissing(Exception):
    """There is no object under this key, or not as much of it."""


class AObjectWriter(ABC):
    """One object being written. Nobody else finds it before `finish` has returned.

    Ends with `finish` or with `abandon`. Memory is bounded: `write` returns when the store has taken enough.
    """

    @abstractmethod
    async def write(self, piece: bytes) -> None:
        """Add to its end. Raises `StoreUnavailable`, after which only `abandon` may follow."""

    @abstractmethod
    async def finish(self) -> None:
        """Make it durable. Raises `StoreUnavailable`."""

    @abstractmethod
    async def abandon(self) -> None:
        """Stop; what is there may be whole or not, and `AFileStore.remove` takes it away. Never raises."""


class AFileStore(AService):
    order: ClassVar[int] = 40

    @abstractmethod
    def writer(self, key: str, *, most_bytes: int) -> AObjectWriter:
        """For a new object of at most so many bytes. A key is used once."""

    @abstractmethod
    async def read(self, key: str, start: int, end: int) -> bytes:
        """The bytes `start` to `end`, exclusive; `start < end`. Raises `ObjectMissing` or `StoreUnavailable`."""

    @abstractmethod
    async def remove(self, key: str) -> None:
        """Remove it, with what an upload that broke off has left. No error if there is none. `StoreUnavailable`."""

    @abstractmethod
    async def probe(self) -> str | None:
        """Write an object, read it, remove it. What went wrong, for an operator, or None."""
