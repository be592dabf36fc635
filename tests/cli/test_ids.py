"""Sessions by the beginning of their id: only ever the one that is meant."""

import pytest

from tests.client.scripted_server import ScriptedServer, answer
from webedt.cli.errors import CommandError
from webedt.cli.ids import full_id
from webedt.client import WebEDTClient

FIRST = "abcd1111-0000-4000-8000-000000000001"
SECOND = "abcd2222-0000-4000-8000-000000000002"


async def asked(server: ScriptedServer, beginning: str) -> str:
    server.steps = [
        answer(200, {"sessions": [{"id": FIRST}], "nextCursor": "older"}),
        answer(200, {"sessions": [{"id": SECOND}], "nextCursor": None}),
    ]
    async with WebEDTClient(server.url, "t") as client:
        return await full_id(client, beginning)


async def test_a_beginning_that_only_one_has_is_enough_wherever_it_is_in_the_list(server: ScriptedServer) -> None:
    assert await asked(server, "ABCD1") == FIRST
    assert await asked(server, "abcd2222-0") == SECOND


async def test_a_beginning_that_an_older_session_has_too_is_refused(server: ScriptedServer) -> None:
    with pytest.raises(CommandError, match="several sessions"):
        await asked(server, "abcd")
    with pytest.raises(CommandError, match="no session begins with"):
        await asked(server, "ffff")


@pytest.mark.parametrize("given", [FIRST, "abc", "not-an-id"])
async def test_what_is_no_beginning_goes_to_the_server_as_it_is(server: ScriptedServer, given: str) -> None:
    assert await asked(server, given) == given
    assert server.requests == []
