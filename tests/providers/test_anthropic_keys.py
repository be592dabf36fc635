"""Whose key goes where: one run, one client, one key, and nothing that the process happens to have lying about."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.anthropic_fake import echo, end, fake_anthropic, fingerprint, start, text
from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.providers.anthropic import AnthropicProvider
from webedt.providers.anthropic_sdk import BASE_URL, AnthropicSDK
from webedt.providers.interface import Completed, ProviderError, RunRequest, TextDelta

PAIRS = 100

# Run in a process that has not loaded the SDK: says in which thread each module was looked for.
IMPORTS = """
import asyncio, json, sys, threading

looked = {}
class Spy:
    def find_spec(self, name, path=None, target=None):
        looked[name] = threading.current_thread() is threading.main_thread()
sys.meta_path.insert(0, Spy())

from uuid import uuid4
from tests.support.anthropic_fake import end, fake_anthropic, start, text
from webedt.composition import compose_services
from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.providers.anthropic import AnthropicProvider
from webedt.providers.interface import RunRequest

def of_sdk():
    packages = ("anthropic", "anyio", "httpx2", "pydantic")
    return {name: main for name, main in looked.items() if name.split(".")[0] in packages}

async def main():
    async with fake_anthropic((529, {"retry-after-ms": "1"}), [start(), *text(0, "ok"), *end()]) as fake:
        provider = AnthropicProvider(Settings(anthropic_base_url=fake.url, anthropic_api_key=sys.argv[1]))
        await provider.initialize()
        at_start = len(of_sdk())
        await asyncio.gather(*(once(provider) for _ in range(3)))
        print(json.dumps([at_start, len(of_sdk()), sorted(name for name, main in of_sdk().items() if main)]))

async def once(provider):
    request = RunRequest(run_id=uuid4(), session_id=uuid4(), user_id=uuid4(), attempt=1, model=None,
                         prompt=[{"type": "text", "text": "x"}], api_key=Secret("k"))
    async for step in provider.run(request, None):
        pass

asyncio.run(main())
"""


def ask(key: str | None) -> RunRequest:
    return RunRequest(
        run_id=uuid4(),
        session_id=uuid4(),
        user_id=uuid4(),
        attempt=1,
        model=None,
        prompt=[{"type": "text", "text": "Who am I?"}],
        api_key=None if key is None else Secret(key),
    )


async def said(provider: AnthropicProvider, request: RunRequest) -> str:
    items = [item async for step in provider.run(request, None) for item in step.items]
    assert items[-1] == Completed("end_turn")
    return "".join(item.text for item in items if isinstance(item, TextDelta))


async def test_a_hundred_pairs_of_users_at_once_never_share_a_client_or_a_key() -> None:
    keys = [(f"sk-{uuid4()}", f"sk-{uuid4()}") for _ in range(PAIRS)]
    async with fake_anthropic(echo) as fake:
        provider = AnthropicProvider(Settings(anthropic_base_url=fake.url, anthropic_api_key="sk-of-the-deployment"))
        await provider.initialize()

        async def both(pair: tuple[str, str]) -> None:
            for _ in range(2):
                answers = await asyncio.gather(*(said(provider, ask(key)) for key in pair))
                assert answers == [fingerprint(key) for key in pair]

        await asyncio.gather(*map(both, keys))
        await provider.dispose()
    assert len(fake.requests) == PAIRS * 4
    assert all(len(came) == 1 for came in fake.peers.values()), "a connection carried two keys"
    assert len(fake.peers) == PAIRS * 4, "a connection served two runs"


async def test_nothing_of_the_environment_or_of_files_decides_about_keys_and_addresses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger = {"api_key": "sk-stranger", "auth_token": "sk-stranger", "base_url": "http://127.0.0.1:9"}
    (tmp_path / "configs").mkdir()
    for name in ("default", "stranger"):
        (tmp_path / "configs" / f"{name}.json").write_text(json.dumps(stranger))
    (tmp_path / "active_config").write_text("stranger")
    for variable, value in {
        "ANTHROPIC_API_KEY": "sk-stranger",
        "ANTHROPIC_AUTH_TOKEN": "sk-stranger",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "ANTHROPIC_CONFIG_DIR": str(tmp_path),
        "ANTHROPIC_PROFILE": "stranger",
        "ANTHROPIC_IDENTITY_TOKEN": "sk-stranger",
        "ANTHROPIC_FEDERATION_RULE_ID": "stranger",
        "ANTHROPIC_ORGANIZATION_ID": "stranger",
        "ANTHROPIC_WEBHOOK_SIGNING_KEY": "sk-stranger",
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer stranger\nX-Api-Key: stranger\nX-Other: stranger",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(variable, value)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login stranger password sk-stranger\n")
    async with fake_anthropic(echo) as fake:
        provider = AnthropicProvider(Settings(anthropic_base_url=fake.url))
        assert await said(provider, ask("sk-mine")) == fingerprint("sk-mine")
    assert "stranger" not in str(dict(fake.headers[0])).lower()
    sdk = AnthropicSDK()
    await sdk.load()
    async with sdk.client(Secret("sk-mine")) as client:
        assert str(client.base_url).rstrip("/") == BASE_URL
        assert (client.api_key, client.auth_token, client.credentials) == ("sk-mine", None, None)


async def test_a_proxy_is_for_what_leaves_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through CONNECT, so that the proxy sees neither key nor conversation."""
    asked = asyncio.Queue[bytes]()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        provider = AnthropicProvider(Settings(anthropic_base_url="https://upstream.invalid", provider_max_retries=0))
        with pytest.raises(ProviderError, match="not available"):
            await said(provider, ask("sk-mine"))
    request = await asked.get()
    assert request.startswith(b"CONNECT upstream.invalid:443 ")
    assert b"sk-mine" not in request


async def test_a_run_without_a_key_fails_and_says_which_is_missing() -> None:
    provider = AnthropicProvider(Settings(anthropic_api_key="sk-of-the-deployment"))
    with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY") as failed:
        await said(provider, ask(None))
    assert (failed.value.code, failed.value.retryable) == ("provider_not_configured", False)


@pytest.mark.parametrize("key", ["sk-\nX-Other: 1", "sk-\u00fc", "sk-\x00"])
async def test_a_key_that_cannot_be_sent_is_refused_and_not_quoted(key: str) -> None:
    async with fake_anthropic(echo) as fake:
        provider = AnthropicProvider(Settings(anthropic_base_url=fake.url))
        with pytest.raises(ProviderError) as failed:
            await said(provider, ask(key))
    assert failed.value.code == "provider_unauthorized"
    assert key not in repr((failed.value.message, failed.value.__cause__))
    assert fake.requests == []


def test_the_deployments_key_can_be_switched_off() -> None:
    on = AnthropicProvider(Settings(anthropic_api_key="sk-secret"))
    assert on.deployment_key is not None and on.deployment_key.reveal() == "sk-secret"
    assert "ANTHROPIC_API_KEY" in (on.key_needed or "")
    off = AnthropicProvider(Settings(anthropic_api_key="sk-secret", deployment_keys=False))
    assert off.deployment_key is None
    assert "your own" in (off.key_needed or "")
    assert on.takes_keys and on.unavailable_reason is None


@pytest.mark.parametrize("deployment_key", ["sk-secret", ""])
def test_the_sdk_is_loaded_off_the_loop_at_start_only_with_a_key(deployment_key: str) -> None:
    command = [sys.executable, "-c", IMPORTS, deployment_key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    at_start, in_the_end, on_the_loop = json.loads(done.stdout)
    assert on_the_loop == []
    assert in_the_end > 100
    assert (at_start > 100) is bool(deployment_key)


async def test_making_a_client_is_cheap() -> None:
    sdk = AnthropicSDK()
    await sdk.load()
    costs = []
    for _ in range(20):
        began = time.thread_time()
        client = sdk.client(Secret("k"))
        costs.append(time.thread_time() - began)
        await client.close()
    assert sorted(costs)[10] < 0.005


async def test_a_failed_run_leaves_the_next_key_alone() -> None:
    refusal = (401, {})
    async with fake_anthropic(refusal, [start(), *text(0, "ok"), *end()]) as fake:
        provider = AnthropicProvider(Settings(anthropic_base_url=fake.url))
        with pytest.raises(ProviderError):
            await said(provider, ask("sk-bad"))
        assert await said(provider, ask("sk-good")) == "ok"
    assert [headers["Authorization"] for headers in fake.headers] == ["Bearer sk-bad", "Bearer sk-good"]
