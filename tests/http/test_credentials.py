"""Users' own API keys: stored, seen by nobody, used for their own runs, readable when the encryption key changes."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
import structlog

from tests.http.client import Client, Running, running, token
from tests.http.conftest import StartReplica, settings_for
from tests.http.wire import logged
from tests.support.keyed_provider import KEY_NAMES, KeyedProvider, put_in
from tests.support.waiting import eventually
from webedt.composition import compose_sealer
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.providers.interface import AProviders
from webedt.services.key_rotation import AKeyRotation, KeyRotation
from webedt.services.sealing import Sealer
from webedt.telemetry.logging import configure_logging

KEY = "sk-test-0123456789abcdefghij"
PATHS = {name: f"/api/user/credentials/{name}" for name in KEY_NAMES}
ANTHROPIC = PATHS["anthropic"]
OLD, NEW = "old-encryption-key-" + "o" * 32, "new-encryption-key-" + "n" * 32


@pytest_asyncio.fixture(loop_scope="session")
async def keyed(app: Running) -> AsyncIterator[dict[str, KeyedProvider]]:
    """The shared replica with providers that take keys, for one test."""
    service: Any = app.service(AProviders)
    before, default = dict(service._providers), service._default
    providers = {name: KeyedProvider(name) for name in KEY_NAMES}
    put_in(service, *providers.values())
    yield providers
    service._providers, service._default = before, default


pytestmark = pytest.mark.usefixtures("keyed")


async def put(client: Client, provider: str = "anthropic", key: Any = KEY) -> int:
    return (await client.ask("PUT", f"/api/user/credentials/{provider}", {"apiKey": key})).status


async def stored(client: Client) -> dict[str, Any]:
    answer = await client.get("/api/user/credentials")
    assert answer.status == 200
    assert answer.json().keys() == {"providers"}
    return {one["provider"]: one for one in answer.json()["providers"]}


async def ask(client: Client, provider: str = "anthropic") -> tuple[str, Any]:
    """Carry a prompt to its end: type and data of its terminal event."""
    async with client.stream("/api/execute-remote", {"userRequest": "x", "provider": provider}) as stream:
        last = logged(await stream.rest())[-1]
    assert last.event is not None
    return last.event, last.data


async def test_a_key_is_stored_replaced_and_removed_and_only_its_being_there_is_told(user: Client) -> None:
    nothing = {name: {"provider": name, "configured": False, "updatedAt": None} for name in KEY_NAMES}
    assert await stored(user) == nothing
    answer = await user.ask("PUT", ANTHROPIC, {"apiKey": KEY})
    assert (answer.status, answer.body) == (204, b"")
    first = (await stored(user))["anthropic"]
    assert first.keys() == {"provider", "configured", "updatedAt"}
    assert first["configured"] is True
    assert first["updatedAt"].endswith("Z")
    assert await put(user, key="another") == 204
    assert (await stored(user))["anthropic"]["updatedAt"] > first["updatedAt"]
    for _ in range(2):
        answer = await user.delete(ANTHROPIC)
        assert (answer.status, answer.body) == (204, b"")
    assert await stored(user) == nothing


async def test_nobody_else_sees_or_removes_it(user: Client, stranger: Client) -> None:
    assert await put(user) == 204
    assert not any(one["configured"] for one in (await stored(stranger)).values())
    assert (await stranger.delete(ANTHROPIC)).status == 204
    assert await put(stranger, key="theirs") == 204
    assert (await stranger.delete(ANTHROPIC)).status == 204
    assert (await stored(user))["anthropic"]["configured"]


async def test_a_login_is_needed(app: Running) -> None:
    for method, path, body in (
        ("GET", "/api/user/credentials", None),
        ("PUT", ANTHROPIC, {"apiKey": KEY}),
        ("DELETE", ANTHROPIC, None),
        ("GET", "/api/providers", None),
        ("GET", "/api/user/preferences", None),
        ("PATCH", "/api/user/preferences", {}),
    ):
        answer = await app.nobody.ask(method, path, body)
        assert (answer.status, answer.code) == (401, "unauthenticated")


async def test_another_sites_page_changes_nothing_with_the_cookie(app: Running, user: Client) -> None:
    own = app.browser(token(user))
    for page in (own.with_headers(Origin="https://evil.example"), Client(app.port, {"Cookie": own.headers["Cookie"]})):
        for method, path, body in (
            ("PUT", ANTHROPIC, {"apiKey": KEY}),
            ("DELETE", ANTHROPIC, None),
            ("PATCH", "/api/user/preferences", {"defaultProvider": "claude"}),
        ):
            answer = await page.ask(method, path, body)
            assert (answer.status, answer.code) == (403, "forbidden")
    assert not (await stored(user))["anthropic"]["configured"]
    assert await put(own) == 204


@pytest.mark.parametrize("provider", ["simulated", "none", "ANTHROPIC", "%00", "%ff", "anthropic%20", "{provider}"])
async def test_a_provider_that_takes_no_key_is_not_found(user: Client, provider: str) -> None:
    for method, body in (("PUT", {"apiKey": KEY}), ("DELETE", None)):
        answer = await user.ask(method, f"/api/user/credentials/{provider}", body)
        assert (answer.status, answer.code) == (404, "not_found")
        assert KEY.encode() not in answer.body


@pytest.mark.parametrize(
    "key", ["", " ", "x" * 501, "sk two", "sk-tab\t", "sk-line\n", "sk-ключ", "sk-\x00", "sk-\x7f", None, 7, ["sk"], {}]
)
async def test_what_is_no_key_is_refused_and_does_not_touch_the_one_that_is_there(user: Client, key: Any) -> None:
    assert await put(user) == 204
    before = await stored(user)
    answer = await user.ask("PUT", ANTHROPIC, {"apiKey": key})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json()["errors"][0]["path"] == "$.apiKey"
    assert "sk" not in answer.json()["detail"]
    assert await stored(user) == before


@pytest.mark.parametrize("body", [None, {}, [], {"apiKey": KEY, "more": 1}, {"key": KEY}, KEY, b'{"apiKey": "sk-'])
async def test_any_other_body_is_refused_without_repeating_it(user: Client, body: Any) -> None:
    answer = await user.ask("PUT", ANTHROPIC, body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert b"sk-" not in answer.body


async def test_a_key_of_500_characters_is_taken(user: Client, keyed: dict[str, KeyedProvider]) -> None:
    assert await put(user, key="!" + "~" * 499) == 204
    assert (await ask(user))[0] == "completed"
    assert keyed["anthropic"].seen[0][1] == "!" + "~" * 499


async def test_the_table_holds_nothing_that_can_be_read(app: Running, user: Client, database: Any) -> None:
    assert await put(user) == 204
    assert await put(user, "openai") == 204
    rows = await database.fetch("SELECT * FROM credentials WHERE user_id = $1", app.users[0])
    assert {row["provider"] for row in rows} == {"anthropic", "openai"}
    assert rows[0]["sealed"] != rows[1]["sealed"]
    for row in rows:
        assert len(row["key_id"]) == 8
        assert KEY[:8].encode() not in row["sealed"]
    everything = await database.fetchval("SELECT string_agg(c::text, ' ') FROM credentials c")
    assert KEY not in everything
    assert KEY.encode().hex() not in everything


async def test_each_of_two_users_at_once_is_answered_with_the_own_key(
    app: Running, user: Client, stranger: Client, keyed: dict[str, KeyedProvider]
) -> None:
    assert await put(user, key="key-of-user") == 204
    assert await put(stranger, key="key-of-stranger") == 204
    await asyncio.gather(*(ask(one) for _ in range(100) for one in (user, stranger)))
    own = dict(zip(app.users[:2], ("key-of-user", "key-of-stranger"), strict=True))
    assert len(keyed["anthropic"].seen) == 200
    assert all(own[who] == key for who, key, _ in keyed["anthropic"].seen)


async def test_the_users_key_comes_first_then_the_deployments(user: Client, keyed: dict[str, KeyedProvider]) -> None:
    keyed["anthropic"].key = "of-the-deployment"
    assert (await ask(user))[0] == "completed"
    assert await put(user) == 204
    assert (await ask(user))[0] == "completed"
    assert (await user.delete(ANTHROPIC)).status == 204
    assert (await ask(user))[0] == "completed"
    assert [key for _, key, _ in keyed["anthropic"].seen] == ["of-the-deployment", KEY, "of-the-deployment"]


@pytest.mark.parametrize("change", ["moved to another user", "moved to another provider", "cut", "of an unknown key"])
async def test_a_row_that_does_not_open_ends_its_run_and_is_told(
    app: Running, user: Client, stranger: Client, keyed: dict[str, KeyedProvider], database: Any, change: str
) -> None:
    """Above all it is not answered with the deployment's key: the user meant to pay for it."""
    keyed["anthropic"].key = "of-the-deployment"
    await put(user)
    await put(stranger, key="key-of-stranger")
    await put(user, "claude", key="for-claude")
    mine = "UPDATE credentials SET {} WHERE user_id = $1 AND provider = 'anthropic'"
    other = "(SELECT sealed FROM credentials WHERE user_id = {} AND provider = '{}')"
    match change:
        case "moved to another user":
            taken = other.format("$2", "anthropic")
            await database.execute(mine.format(f"sealed = {taken}"), *app.users[:2])
        case "moved to another provider":
            await database.execute(mine.format("sealed = " + other.format("$1", "claude")), app.users[0])
        case "cut":
            await database.execute(mine.format("sealed = substr(sealed, 1, 20)"), app.users[0])
        case _:
            await database.execute(mine.format("key_id = '\\x0000000000000000'"), app.users[0])
    event, data = await ask(user)
    assert (event, data["code"], data["retryable"]) == ("failed", "credential_unreadable", False)
    assert "store it again" in data["message"]
    assert keyed["anthropic"].seen == []
    found = {one["name"]: one for one in (await user.get("/api/providers")).json()["providers"]}["anthropic"]
    assert (found["configured"], found["ownKey"], found["reason"]) == (False, True, data["message"])
    assert (await ask(stranger))[0] == "completed"
    await put(user)
    assert (await ask(user))[0] == "completed"


async def test_the_key_is_in_no_log_line_answer_or_metric(
    app: Running, user: Client, keyed: dict[str, KeyedProvider], database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    monkeypatch.setattr("sys.stderr", lines)
    configure_logging("debug", "here", json=True)
    try:
        answers = [
            await user.ask("PUT", ANTHROPIC, {"apiKey": KEY}),
            await user.ask("PUT", ANTHROPIC, {"apiKey": KEY + " "}),
            await user.ask("PUT", "/api/user/credentials/none", {"apiKey": KEY}),
            await user.get("/api/user/credentials"),
            await user.get("/api/providers"),
            await user.get("/api/user/preferences"),
        ]
        answers.append(await user.get(f"/api/sessions/{await user.finish('x', provider='anthropic')}/events"))

        with monkeypatch.context() as broken:
            service = app.service(AProviders)
            broken.setattr(type(service), "names", property(lambda _self: 1 / 0))
            answers.append(await user.ask("PUT", ANTHROPIC, {"apiKey": KEY}))
        assert answers[-1].status == 500
        answers += [await user.delete(ANTHROPIC), await user.get("/metrics"), await user.get("/api/openapi.json")]
    finally:
        structlog.reset_defaults()
    written = lines.getvalue()
    assert "credential_stored" in written
    assert "ZeroDivisionError" in written
    assert KEY not in written
    assert all(KEY.encode() not in answer.body for answer in answers)
    assert all(KEY not in str(answer.head.fields) for answer in answers)


async def test_the_document_marks_the_key_as_write_only(app: Running) -> None:
    document = (await app.nobody.get("/api/openapi.json")).json()
    key = document["components"]["schemas"]["NewCredential"]["properties"]["apiKey"]
    assert (key["writeOnly"], key["format"], key["maxLength"]) == (True, "password", 500)
    assert "example" not in json.dumps(document["paths"]["/api/user/credentials/{provider}"])


# A change of the encryption key ---------------------------------------------------------------------------------------


async def test_keys_survive_a_change_of_the_encryption_key(database_url: str) -> None:
    seen: list[str | None] = []

    async def replica(encryption_keys: tuple[str, ...], work: Any) -> None:
        async with running(settings_for(database_url, encryption_keys=encryption_keys)) as app:
            provider = KeyedProvider("anthropic")
            put_in(app.service(AProviders), provider)
            await work(app)
            seen.extend(key for _, key, _ in provider.seen)

    who: list[str] = []

    async def begin(app: Running) -> None:
        user = await app.register()
        who.append(token(user))
        assert await put(user) == 204

    async def use(app: Running) -> None:
        assert (await ask(app.bearer(who[0])))[0] == "completed"

    async def use_and_reseal(app: Running) -> None:
        await use(app)
        # Also carried out by the leader, at once when it becomes one.
        await app.service(AKeyRotation).reseal()
        await use(app)
        assert await app.service(AKeyRotation).reseal() == 0

    async def fail(app: Running) -> None:
        assert (await ask(app.bearer(who[0])))[1]["code"] == "credential_unreadable"

    await replica((), begin)  # sealed by SESSION_SECRET
    await replica((OLD,), use_and_reseal)
    await replica((NEW, OLD), use_and_reseal)
    await replica((NEW,), use)
    await replica((OLD,), fail)
    assert seen == [KEY] * 5


def test_without_an_encryption_key_all_session_secrets_open_and_the_first_seals() -> None:
    before, meanwhile, after = (
        compose_sealer(Settings(session_secrets=secrets)) for secrets in ((OLD,), (NEW, OLD), (NEW,))
    )
    assert meanwhile.older_key_ids == [before.key_id]
    assert meanwhile.open(before.seal(KEY, "me"), before.key_id, "me") == KEY
    assert after.open(meanwhile.seal(KEY, "me"), meanwhile.key_id, "me") == KEY


async def test_a_pass_leaves_alone_what_changed_meanwhile_and_what_cannot_be_opened(
    start: StartReplica, database_url: str
) -> None:
    # The replica has no older key, so that no leader comes between; the rotation is driven by hand.
    rotation: Any = KeyRotation(Sealer((NEW, OLD)))
    reseal = rotation._reseal
    async with start(encryption_keys=(OLD,)) as app:
        put_in(app.service(AProviders), *(KeyedProvider(name) for name in KEY_NAMES))
        user = await app.register()
        for name in KEY_NAMES:
            assert await put(user, name) == 204
        database = rotation._database = app.service(ADatabase)
        await database.fetch("UPDATE credentials SET sealed = '\\x00' WHERE provider = 'anthropic'")
        before = await database.fetch("SELECT provider, updated_at FROM credentials ORDER BY provider")

        async def reseal_after_another_put(rows: Any) -> int:
            assert len(rows) == 3
            await database.fetch("UPDATE credentials SET sealed = '\\x01' WHERE provider = 'openai'")
            resealed: int = await reseal(rows)
            return resealed

        rotation._reseal = reseal_after_another_put
        assert await rotation.reseal() == 1
        rows = await database.fetch("SELECT provider, sealed, key_id, updated_at FROM credentials ORDER BY provider")
    anthropic, claude, openai = rows
    assert (anthropic["sealed"], openai["sealed"]) == (b"\x00", b"\x01")
    assert anthropic["key_id"] == openai["key_id"] != claude["key_id"] == rotation._sealer.key_id
    assert [(row["provider"], row["updated_at"]) for row in rows] == [tuple(row) for row in before]


async def test_a_table_of_many_rows_is_gone_through_in_batches(
    start: StartReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.services.key_rotation.ROWS_AT_ONCE", 2)
    rotation: Any = KeyRotation(Sealer((NEW, OLD)))
    async with start(encryption_keys=(OLD,)) as app:
        put_in(app.service(AProviders), *(KeyedProvider(name) for name in KEY_NAMES))
        for _ in range(3):
            user = await app.register()
            for name in KEY_NAMES:
                assert await put(user, name) == 204
        database = rotation._database = app.service(ADatabase)
        # Nothing of the first batch opens, and it holds nothing up.
        await database.fetch(
            "UPDATE credentials SET sealed = '\\x00' "
            "WHERE user_id = (SELECT user_id FROM credentials ORDER BY user_id LIMIT 1)"
        )
        assert await rotation.reseal() == 6
        assert await rotation.reseal() == 0


async def test_a_leader_seals_anew_by_itself(start: StartReplica, database_url: str) -> None:
    async with start(encryption_keys=(OLD,)) as app:
        put_in(app.service(AProviders), KeyedProvider("openai"))
        user = await app.register()
        assert await put(user, "openai") == 204
    connection = await asyncpg.connect(database_url)
    try:
        before = await connection.fetchval("SELECT key_id FROM credentials")
        async with start(encryption_keys=(NEW, OLD)):

            async def resealed() -> bool:
                found: bytes = await connection.fetchval("SELECT key_id FROM credentials")
                return found != before

            await eventually(resealed, "sealed anew")
    finally:
        await connection.close()


async def test_an_account_that_is_gone_takes_its_keys_along(app: Running, user: Client, database: Any) -> None:
    assert await put(user) == 204
    who: UUID = app.users[0]
    await database.execute("DELETE FROM users WHERE id = $1", who)
    assert await database.fetchval("SELECT count(*) FROM credentials WHERE user_id = $1", who) == 0
