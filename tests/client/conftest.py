"""Fixtures of the client's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.client.scripted_server import ScriptedServer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server that listens."""
    scripted = ScriptedServer()
    await scripted.start()
    yield scripted
    await scripted.stop()
