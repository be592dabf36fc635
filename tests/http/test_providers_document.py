"""docs/providers.md: its example runs as it stands there, and its tables say what the code says."""

import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from tests.http.client import running
from tests.http.conftest import settings_for
from tests.http.wire import events, ids, logged
from tests.support.documents import python_blocks, run
from webedt.config import PROVIDERS, Settings
from webedt.database.interface import ADatabase
from webedt.kernel import ServiceStateError
from webedt.providers import interface
from webedt.providers.interface import AProviders

DOCUMENT = Path(__file__).parents[2] / "docs" / "providers.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


async def test_the_documented_provider_is_registered_asked_and_interrupted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("providers_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    async with running(settings_for(database_url), initialize=False) as app:
        module.__dict__["replica"] = app.replica
        blocks = python_blocks(TEXT)
        assert len(blocks) == 3
        for block in blocks:
            await run(block, module, DOCUMENT)

        await app.replica.provider.initialize()
        app.replica.lifecycle.initialized = True
        await app.service(ADatabase).wait_until_ready()
        with pytest.raises(ServiceStateError):
            app.service(AProviders).add(module.__dict__["CountdownProvider"]())
        user = await app.register()

        async with user.stream("/api/execute-remote", {"userRequest": "3", "provider": "countdown"}) as stream:
            session = stream.head["X-Session-ID"]
            found = logged(await stream.rest())
        assert ids(found) == list(range(1, 8))
        assert events(found) == ["user_message", "run_started", *["text_delta"] * 3, "message", "completed"]
        assert found[-2].data["content"] == [{"type": "text", "text": "3\n2\n1\n"}]

        follow_up = {"userRequest": "many", "websiteSessionId": session}
        async with user.stream("/api/execute-remote", follow_up) as stream:
            failed = logged(await stream.rest())[-1].data
        assert (failed["code"], failed["message"]) == ("countdown_refused", "Send a number up to 100.")

        async with user.stream("/api/execute-remote", {"userRequest": "99", "provider": "countdown"}) as stream:
            await stream.until("text_delta")
            await user.post(f"/api/sessions/{stream.head['X-Session-ID']}/interrupt")
            assert logged(await stream.rest())[-1].event == "interrupted"


def test_every_provider_and_every_setting_that_it_names_is_there() -> None:
    [columns] = re.findall(r"^\| \| (`simulated`.*) \|$", TEXT, re.MULTILINE)
    assert tuple(columns.replace("`", "").split(" | ")) == PROVIDERS
    known = {name for item in fields(Settings) for name in item.metadata["variables"]}
    prefixes = ("ANTHROPIC_", "CLAUDE_", "OPENAI_", "PROVIDER_", "COMMAND_", "REMOTE_")
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", TEXT)) - {"EX_TEMPFAIL"}
    assert {name for name in named if not name.startswith("WEBEDT_")} <= known
    assert {name for name in known if name.startswith(prefixes)} <= named


def test_every_code_that_a_person_may_see_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z_]+)` \| (?:yes|no|it depends) \|", TEXT, re.MULTILINE))
    sources = [path.read_text() for path in Path(interface.__file__).parent.glob("*.py")]
    logged = re.compile(r"""log\.\w+\(\s*"\w+\"""")
    codes = re.compile(r'"((?:provider|command|remote)_[a-z_]+)"')
    used = {code for source in sources for code in codes.findall(logged.sub("", source))}
    assert "provider_timeout" in used
    assert used <= explained
