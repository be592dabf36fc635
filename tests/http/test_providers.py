"""GET /api/providers and the user's defaults."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.http.client import SHORT, Client, Running
from tests.support.keyed_provider import KeyedProvider, put_in
from webedt.providers.interface import AProviders

PREFERENCES = "/api/user/preferences"
NOTHING = {"defaultProvider": None, "defaultModel": None}


@pytest_asyncio.fixture(loop_scope="session")
async def keyed(app: Running) -> AsyncIterator[dict[str, KeyedProvider]]:
    """The shared replica with these providers beside the simulated one, for one test."""
    service: Any = app.service(AProviders)
    before, default = service._providers, service._default
    providers = {
        "anthropic": KeyedProvider("anthropic", key="of-the-deployment"),
        "claude": KeyedProvider("claude", off="claude is switched off."),
        "openai": KeyedProvider("openai"),
    }
    service._providers = {"simulated": before["simulated"]}
    put_in(service, *providers.values())
    yield providers
    service._providers, service._default = before, default


pytestmark = pytest.mark.usefixtures("keyed")


async def providers(client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    answer = await client.get("/api/providers")
    assert answer.status == 200
    found = answer.json()
    return found, {one["name"]: one for one in found["providers"]}


async def test_it_says_what_is_configured_for_this_user_and_why_something_is_not(
    user: Client, stranger: Client, keyed: dict[str, KeyedProvider]
) -> None:
    found, by_name = await providers(user)
    assert found.keys() == {"providers", "default", "defaultModel"}
    assert (found["default"], found["defaultModel"]) == ("simulated", "simulated-1")
    assert list(by_name) == ["simulated", "anthropic", "claude", "openai"]
    assert by_name["simulated"] == {
        "name": "simulated", "configured": True, "reason": None, "resumable": True, "takesKeys": False,
        "ownKey": False, "default": True, "defaultModel": "simulated-1",
    }  # fmt: skip
    assert by_name["anthropic"] == {
        "name": "anthropic", "configured": True, "reason": None, "resumable": False, "takesKeys": True,
        "ownKey": False, "default": False, "defaultModel": "anthropic-1",
    }  # fmt: skip
    assert (by_name["claude"]["configured"], by_name["claude"]["reason"]) == (False, "claude is switched off.")
    assert by_name["openai"]["configured"] is False
    assert "store your own" in by_name["openai"]["reason"]

    assert (await user.ask("PUT", "/api/user/credentials/openai", {"apiKey": "k"})).status == 204
    _, by_name = await providers(user)
    assert (by_name["openai"]["configured"], by_name["openai"]["reason"], by_name["openai"]["ownKey"]) == (
        True, None, True,
    )  # fmt: skip
    _, theirs = await providers(stranger)
    assert (theirs["openai"]["configured"], theirs["openai"]["ownKey"]) == (False, False)
    assert all(provider.seen == [] for provider in keyed.values())


async def test_what_it_says_is_what_a_prompt_meets(user: Client) -> None:
    for one in (await providers(user))[0]["providers"]:
        body = {"userRequest": SHORT, "provider": one["name"]}
        answer = await user.post("/api/execute-remote", body, Prefer="respond-async")
        assert (answer.status == 202) == one["configured"], one
        if not one["configured"]:
            assert (answer.code, answer.json()["detail"]) == ("invalid_request", one["reason"])
            assert answer.json()["errors"][0]["path"] == "$.provider"
    answer = await user.post("/api/execute-remote", {"userRequest": SHORT, "provider": "nobody"})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert "simulated, anthropic, claude, openai" in answer.json()["detail"]


async def test_a_default_answers_prompts_that_name_nobody(user: Client, stranger: Client) -> None:
    answer = await user.get(PREFERENCES)
    assert (answer.status, answer.json()) == (200, NOTHING)
    wanted = {"defaultProvider": "anthropic", "defaultModel": "my-model"}
    answer = await user.patch(PREFERENCES, wanted)
    assert (answer.status, answer.json()) == (200, wanted)
    assert (await user.get(PREFERENCES)).json() == wanted
    assert (await stranger.get(PREFERENCES)).json() == NOTHING

    found, by_name = await providers(user)
    assert (found["default"], found["defaultModel"]) == ("anthropic", "my-model")
    assert [name for name, one in by_name.items() if one["default"]] == ["anthropic"]
    session_id = await user.finish(SHORT)
    session = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    assert (session["provider"], session["model"]) == ("anthropic", "my-model")
    # The model is the provider's that it was chosen with.
    session_id = await user.finish(SHORT, provider="simulated")
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["model"] == "simulated-1"


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({}, ("anthropic", "m")),
        ({"defaultModel": "n"}, ("anthropic", "n")),
        ({"defaultModel": None}, ("anthropic", None)),
        ({"defaultProvider": "anthropic"}, ("anthropic", "m")),
        ({"defaultProvider": "openai"}, ("openai", None)),
        ({"defaultProvider": "openai", "defaultModel": "n"}, ("openai", "n")),
        ({"defaultProvider": None}, (None, None)),
        ({"defaultProvider": None, "defaultModel": None}, (None, None)),
        # One that cannot be used yet: its key may come later.
        ({"defaultProvider": "claude"}, ("claude", None)),
    ],
)
async def test_what_is_absent_stays_null_clears_and_a_model_leaves_with_its_provider(
    user: Client, change: dict[str, Any], after: tuple[str | None, str | None]
) -> None:
    assert (await user.patch(PREFERENCES, {"defaultProvider": "anthropic", "defaultModel": "m"})).status == 200
    answer = await user.patch(PREFERENCES, change)
    assert (answer.status, tuple(answer.json().values())) == (200, after)
    assert tuple((await user.get(PREFERENCES)).json().values()) == after


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"defaultProvider": "nobody"}, "$.defaultProvider"),
        ({"defaultProvider": ""}, "$.defaultProvider"),
        ({"defaultProvider": 7}, "$.defaultProvider"),
        ({"defaultProvider": "x" * 201}, "$.defaultProvider"),
        ({"defaultModel": ""}, "$.defaultModel"),
        ({"defaultModel": "x" * 201}, "$.defaultModel"),
        ({"defaultModel": "alone"}, "$.defaultModel"),
        ({"defaultProvider": None, "defaultModel": "alone"}, "$.defaultModel"),
        ({"defaultmodel": "m"}, "$"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(user: Client, body: Any, path: str) -> None:
    answer = await user.patch(PREFERENCES, body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json()["errors"][0]["path"] == path
    if body.get("defaultProvider") == "nobody":
        assert "simulated, anthropic, claude, openai" in answer.json()["detail"]
    assert (await user.get(PREFERENCES)).json() == NOTHING


async def test_a_default_that_cannot_be_used_is_told_and_not_replaced_by_another(user: Client) -> None:
    await user.patch(PREFERENCES, {"defaultProvider": "openai"})
    found, by_name = await providers(user)
    assert (found["default"], by_name["openai"]["configured"]) == ("openai", False)
    answer = await user.post("/api/execute-remote", {"userRequest": SHORT})
    assert (answer.status, answer.json()["detail"]) == (400, by_name["openai"]["reason"])
    assert (await user.get("/api/sessions")).json()["sessions"] == []


async def test_without_a_default_the_own_key_decides(app: Running, user: Client, stranger: Client) -> None:
    put_in(app.service(AProviders), default=None)
    answer = await user.post("/api/execute-remote", {"userRequest": SHORT})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert (await user.ask("PUT", "/api/user/credentials/openai", {"apiKey": "k"})).status == 204
    assert (await providers(user))[0]["default"] == "openai"
    session_id = await user.finish(SHORT)
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["provider"] == "openai"
    assert (await providers(stranger))[0]["default"] is None
