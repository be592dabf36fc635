"""Fixtures of the command line's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.scripted_server import ScriptedServer
from tests.support.command_line import CommandLine


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server that listens."""
    scripted = ScriptedServer()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
def webedt(server: ScriptedServer, tmp_path: Path) -> CommandLine:
    """`webedt` against the scripted server."""
    return CommandLine(tmp_path, server.url)
