"""The Python in docs/services.md runs, block after block in one module, and does what the text says."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from tests.support.documents import python_blocks, run
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries

R = TypeVar("R")

DOCUMENT = Path(__file__).parents[2] / "docs" / "services.md"
STEPS = ["1. Define the contract", "2. Document it", "3. Implement it", "4. Register it", "5. Use it"]


class FakeConnection:
    """Knows one session, s1 of ada, and keeps the statements that it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    async def fetchval(self, *statement: Any) -> str | None:
        self.sent.append(statement)
        return "s1" if statement[1:3] == ("s1", "ada") else None


def fake_database(connection: FakeConnection, life: list[str]) -> ADatabase:
    """A database as the contract has it, of which only transactions and the life work."""

    class FakeDatabase(ADatabase):
        async def initialize(self) -> None:
            life.append("database started")

        async def dispose(self) -> None:
            life.append("database stopped")

        async def with_transaction(self, work: Callable[[Any], Awaitable[R]], *, attempts: int = 5) -> R:
            return await work(connection)

    unused = dict.fromkeys(FakeDatabase.__abstractmethods__)
    complete: type[ADatabase] = type("FakeDatabase", (FakeDatabase,), unused)
    return complete()


def test_each_of_the_five_steps_shows_code() -> None:
    sections = re.split(r"^#+ ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    with_code = [section.partition("\n")[0] for section in sections if python_blocks(section)]
    assert with_code[: len(STEPS)] == STEPS


async def test_the_documented_service_is_created_registered_used_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    connection, life = FakeConnection(), list[str]()
    module = ModuleType("services_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__["database"] = fake_database(connection, life)

    with capture_logs() as logs:
        for block in python_blocks(DOCUMENT.read_text(encoding="utf-8")):
            await run(block, module, DOCUMENT)

    query = load_queries("sessions")["update_session"]
    assert connection.sent == [
        (query, "s1", "ada", "Fix the login page", None),
        (query, "s2", "ada", "Mine now", None),
    ]
    assert life == ["database started", "database stopped"]
    assert [(line["event"], line.get("code")) for line in logs if line["component"] == "SessionTitles"] == [
        ("session_renamed", None),
        ("operation_refused", "invalid_request"),
        ("operation_refused", "not_found"),
        ("session_titles_stopped", None),
    ]


async def test_an_example_that_no_longer_holds_is_noticed() -> None:
    module = ModuleType("broken_example")
    (block,) = python_blocks("text\n\n```python\nasync def one(): return 1\nassert await one() == 2\n```\n")
    with pytest.raises(AssertionError) as caught:
        await run(block, module, DOCUMENT)
    assert caught.traceback[-1].lineno == 4
