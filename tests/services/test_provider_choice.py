"""Who answers a prompt: request, session, user, deployment, and what stands in when one of them cannot."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.keyed_provider import KeyedProvider, put_in
from tests.support.log_harness import LogDatabase
from tests.support.replica import Replica, until_status
from webedt.composition import compose_providers
from webedt.config import Settings
from webedt.domain.errors import InvalidRequest
from webedt.domain.secrets import Secret
from webedt.providers.claude import ClaudeProvider
from webedt.providers.claude_client import ClaudeWebClient
from webedt.providers.interface import AProviders, ExecutionProvider
from webedt.providers.openai import OpenAIProvider
from webedt.providers.registry import Providers
from webedt.services.credentials import ACredentials
from webedt.services.preferences import APreferences
from webedt.services.provider_choice import Choice, Options
from webedt.telemetry.metrics import Metrics


def options(*own_keys: str, default: str | None, preferred: Choice | None = None, **changes: Any) -> Options:
    """`free` needs no key, `paid` has the deployment's, `own` and `other` need the user's, `off` cannot be used."""
    providers: dict[str, ExecutionProvider] = {
        "free": KeyedProvider("free", takes_keys=False),
        "paid": KeyedProvider("paid", key="of-the-deployment"),
        "other": KeyedProvider("other"),
        "own": KeyedProvider("own"),
        "off": KeyedProvider("off", off="It is switched off."),
    }
    readable = {name: name not in changes.get("unreadable", ()) for name in own_keys}
    return Options(registry(list(providers.values()), default), preferred, readable)


def registry(providers: list[ExecutionProvider], default: str | None) -> Providers:
    return Providers(providers, default, Metrics("test"))


BEFORE = Choice("paid", "session-model")
PREFERRED = Choice("own", "user-model")


@pytest.mark.parametrize(
    ("asked", "session", "preferred", "default", "chosen"),
    [
        # The request names a provider.
        (("free", "m"), BEFORE, PREFERRED, "paid", ("free", "m")),
        (("free", None), BEFORE, PREFERRED, "paid", ("free", "free-1")),
        # A model goes with the provider that it was named for.
        (("paid", None), BEFORE, PREFERRED, "free", ("paid", "session-model")),
        (("own", None), BEFORE, PREFERRED, "free", ("own", "user-model")),
        (("own", None), None, PREFERRED, "free", ("own", "user-model")),
        (("own", None), None, Choice("own", None), "free", ("own", "own-1")),
        # The session's own.
        ((None, None), BEFORE, PREFERRED, "free", ("paid", "session-model")),
        ((None, "m"), BEFORE, PREFERRED, "free", ("paid", "m")),
        ((None, None), Choice("paid", None), PREFERRED, "free", ("paid", "paid-1")),
        # The user's default.
        ((None, None), None, PREFERRED, "free", ("own", "user-model")),
        ((None, "m"), None, PREFERRED, "free", ("own", "m")),
        ((None, None), None, Choice("own", None), "free", ("own", "own-1")),
        # The deployment's.
        ((None, None), None, None, "free", ("free", "free-1")),
        ((None, "m"), None, None, "paid", ("paid", "m")),
        # Nobody, or nobody whom this user can use: the first with a key of their own.
        ((None, None), None, None, None, ("own", "own-1")),
        ((None, None), None, None, "other", ("own", "own-1")),
        ((None, None), None, None, "off", ("own", "own-1")),
        ((None, None), None, None, "gone", ("own", "own-1")),
    ],
)
def test_the_nearest_word_counts(
    asked: tuple[str | None, str | None],
    session: Choice | None,
    preferred: Choice | None,
    default: str | None,
    chosen: tuple[str, str],
) -> None:
    assert options("own", default=default, preferred=preferred).choose(*asked, session) == chosen


@pytest.mark.parametrize(
    ("asked", "session", "preferred", "default", "why"),
    [
        ("nobody", None, None, "free", "known are: free, paid, other, own, off"),
        ("other", None, None, "free", "other needs an API key"),
        ("off", None, None, "free", "switched off"),
        # Where somebody chose, nobody else stands in: another provider has another price and another memory.
        (None, Choice("other", "m"), None, "free", "other needs an API key"),
        (None, Choice("gone", "m"), None, "free", "known are"),
        (None, None, Choice("other", None), "free", "other needs an API key"),
        (None, None, Choice("gone", None), "free", "known are"),
    ],
)
def test_who_cannot_answer_is_refused_with_the_reason(
    asked: str | None, session: Choice | None, preferred: Choice | None, default: str | None, why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        options("own", default=default, preferred=preferred).choose(asked, None, session)
    assert refused.value.errors[0].path == "$.provider"


@pytest.mark.parametrize(
    ("own_keys", "default", "why"),
    [((), None, "No provider is configured"), ((), "off", "switched off"), ((), "other", "other needs an API key"),
     (("off", "free"), None, "No provider is configured")],
)  # fmt: skip
def test_without_a_usable_default_and_without_a_key_nobody_stands_in(
    own_keys: tuple[str, ...], default: str | None, why: str
) -> None:
    """Neither one that needs no key nor one that the deployment pays: nobody chose it."""
    with pytest.raises(InvalidRequest, match=why):
        options(*own_keys, default=default).choose(None, None)


def test_where_a_session_keeps_its_model_another_is_refused() -> None:
    settings = Settings(anthropic_api_key="sk", claude_agent_id="agent", claude_environment_id="env")
    choices = Options(registry([ClaudeProvider(settings, ClaudeWebClient(settings))], "claude"), None, {})
    assert choices.choose(None, "opus") == ("claude", "opus")
    assert choices.choose(None, "opus", Choice("claude", "opus")) == ("claude", "opus")
    assert choices.choose("claude", None, Choice("claude", None)) == ("claude", None)
    assert choices.choose("claude", "opus", Choice("anthropic", "haiku")) == ("claude", "opus")
    for begun_with in ("haiku", None):
        with pytest.raises(InvalidRequest, match="new session") as refused:
            choices.choose(None, "opus", Choice("claude", begun_with))
        assert refused.value.errors[0].path == "$.model"


def test_where_a_model_has_to_be_named_a_prompt_without_one_is_refused() -> None:
    local = Settings(openai_base_url="http://localhost:11434/v1")
    choices = Options(registry([OpenAIProvider(local)], "openai"), None, {})
    with pytest.raises(InvalidRequest, match="OPENAI_MODEL") as refused:
        choices.choose(None, None)
    assert refused.value.errors[0].path == "$.model"
    assert choices.choose(None, "llama") == ("openai", "llama")


def test_a_key_that_cannot_be_read_is_told_and_stands_in_for_nobody() -> None:
    mine = options("other", "own", default=None, unreadable=("other",))
    assert mine.choose(None, None) == ("own", "own-1")
    views = {view.name: view for view in mine.views()}
    assert (views["other"].configured, views["other"].own_key) == (False, True)
    assert views["other"].reason is not None
    assert "store it again" in views["other"].reason
    # Asked for by name it begins, and its run says so.
    assert mine.choose("other", None) == ("other", "other-1")


def test_the_view_says_who_can_be_used_and_why_others_cannot() -> None:
    mine = options("own", "free", default="paid", preferred=PREFERRED)
    assert (mine.default, mine.default_model) == ("own", "user-model")
    views = {view.name: view for view in mine.views()}
    assert [view.name for view in mine.views()] == ["free", "paid", "other", "own", "off"]
    assert {name for name, view in views.items() if view.configured} == {"free", "paid", "own"}
    assert {name for name, view in views.items() if view.default} == {"own"}
    assert {name for name, view in views.items() if view.own_key} == {"own"}
    assert {name: view.reason for name, view in views.items() if view.reason} == {
        "other": "other needs an API key: store your own.",
        "off": "It is switched off.",
    }
    assert (views["own"].default_model, views["paid"].default_model) == ("user-model", "paid-1")


def test_the_simulated_provider_is_never_chosen_silently_in_production() -> None:
    def of(settings: Settings) -> Providers:
        return registry(compose_providers(settings, ClaudeWebClient(settings)), settings.chosen_provider)

    settings = Settings(environment="production", session_secrets=("s",) * 32)
    for preferred in (None, Choice("simulated", None)):
        with pytest.raises(InvalidRequest):
            Options(of(settings), preferred, {}).choose(None, None)
    allowed = Settings(environment="production", session_secrets=("s",) * 32, simulated_provider=True)
    mine = Options(of(allowed), None, {})
    assert mine.default is None
    with pytest.raises(InvalidRequest, match="No provider is configured"):
        mine.choose(None, None)
    assert mine.choose("simulated", None).provider == "simulated"


# On a replica ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def chosen_by(replica: Replica) -> AsyncIterator[dict[str, KeyedProvider]]:
    providers = {name: KeyedProvider(name) for name in ("anthropic", "openai")}
    put_in(replica.provider.get(AProviders), *providers.values())
    yield providers


async def provider_of(log: LogDatabase, replica: Replica, **asked: Any) -> tuple[Any, str, str]:
    accepted = await replica.prompt(log, **asked)
    await until_status(log, accepted.run_id, "completed")
    row = await log.connection.fetchrow("SELECT provider, model FROM runs WHERE id = $1", accepted.run_id)
    return accepted.session_id, row["provider"], row["model"]


async def test_a_follow_up_keeps_the_sessions_provider_whatever_the_user_prefers_since(
    log: LogDatabase, replica: Replica, chosen_by: dict[str, KeyedProvider]
) -> None:
    keys, preferences = replica.provider.get(ACredentials), replica.provider.get(APreferences)
    for name in chosen_by:
        await keys.store(log.user_id, name, Secret(f"key-for-{name}"))
    await preferences.update(log.user_id, provider="openai", model="mine")
    session_id, *chosen = await provider_of(log, replica)
    assert chosen == ["openai", "mine"]
    await preferences.update(log.user_id, provider="anthropic", model=None)
    assert await provider_of(log, replica, session_id=session_id) == (session_id, "openai", "mine")
    assert await provider_of(log, replica, session_id=session_id, model="m") == (session_id, "openai", "m")
    assert await provider_of(log, replica, session_id=session_id, provider="anthropic") == (
        session_id, "anthropic", "anthropic-1",
    )  # fmt: skip
    assert await provider_of(log, replica, session_id=session_id) == (session_id, "anthropic", "anthropic-1")
    assert [(key, model) for _, key, model in chosen_by["openai"].seen] == [
        ("key-for-openai", "mine"), ("key-for-openai", "mine"), ("key-for-openai", "m"),
    ]  # fmt: skip


async def test_a_follow_up_whose_provider_lost_its_key_is_refused_and_leaves_nothing_behind(
    log: LogDatabase, replica: Replica, chosen_by: dict[str, KeyedProvider]
) -> None:
    keys = replica.provider.get(ACredentials)
    await keys.store(log.user_id, "openai", Secret("k"))
    session_id, *_ = await provider_of(log, replica, provider="openai")
    await keys.remove(log.user_id, "openai")
    before = await log.types(session_id)
    with pytest.raises(InvalidRequest, match="openai needs an API key"):
        await replica.prompt(log, session_id=session_id, idempotency_key="k", route="r", body_hash=b"b")
    assert await log.types(session_id) == before
    await keys.store(log.user_id, "openai", Secret("k"))
    again = await replica.prompt(log, session_id=session_id, idempotency_key="k", route="r", body_hash=b"b")
    assert not again.repeated


async def test_a_repeated_request_is_answered_whatever_the_user_can_use_by_now(
    log: LogDatabase, replica: Replica, chosen_by: dict[str, KeyedProvider]
) -> None:
    keys = replica.provider.get(ACredentials)
    await keys.store(log.user_id, "openai", Secret("k"))
    same = {"provider": "openai", "idempotency_key": "k", "route": "r", "body_hash": b"b"}
    first = await replica.prompt(log, **same)
    await keys.remove(log.user_id, "openai")
    again = await replica.prompt(log, **same)
    assert (again.run_id, again.repeated) == (first.run_id, True)
