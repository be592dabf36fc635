"""Our own fleet keeps the contract, and the command says so."""

import json
from pathlib import Path

import pytest

from tests.conformance.breaking_proxy import Mutation, Request, breaking_proxy
from tests.conformance.catalogue import CHECKS, chosen
from tests.conformance.deployment import Options
from tests.conformance.running import SKIPPED, run_checks
from tests.conformance.test_command import command
from tests.support.fleet import PASSWORD, Fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = {"keep-alive-comments", "too-many-attempts"}


async def test_our_fleet_keeps_the_contract(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    urls = [replica.url for replica in fleet.replicas]
    result = await run_checks(urls, CHECKS, Options(), print)
    assert [(one.name, one.expected, one.came) for one in result.failed] == []
    assert {one.name for one in result.outcomes if one.outcome == SKIPPED} == LONG
    assert result.left_behind == []


async def test_a_deployment_without_the_simulated_provider_is_asked_for_the_rest(fleet: Fleet) -> None:
    def refuse(request: Request) -> None:
        request.body = request.body.replace(b'"simulated"', b'"not offered"')

    options = Options(token=await fleet.new_user())
    async with breaking_proxy(fleet[0].port, Mutation(request=refuse)) as url:
        result = await run_checks([url], chosen(["conventions", "stopping"]), options, lambda _line: None)
    assert result.failed == []
    skipped = {one.name: one.why for one in result.outcomes if one.outcome == SKIPPED}
    assert skipped.keys() == {check.name for check in chosen(["conventions", "stopping"]) if check.needs_runs}
    assert all("does not offer the simulated provider: 400" in why for why in skipped.values())


async def test_the_command_reports_and_keeps_a_given_login(fleet: Fleet, tmp_path: Path) -> None:
    token, found = await fleet.new_user(), tmp_path / "result.json"
    answer = command(fleet[0].url, "--only", "probes", "--json", str(found), CONFORMANCE_TOKEN=token)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "  ok       probes: " in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith(f"1 checks of {fleet[0].url}: 1 ok, 0 failed, 0 skipped")
    document = json.loads(found.read_text())
    assert (document["ok"], document["checks"][0]["name"], document["leftBehind"]) == (1, "probes", [])
    async with fleet.caller(token) as caller:
        assert (await caller.call("GET", fleet[0], "/api/auth/session"))[0] == 200
        sessions = (await caller.call("GET", fleet[0], "/api/sessions"))[1]["sessions"]
    assert sessions == [], "it leaves no session behind"


async def test_the_command_takes_an_account(fleet: Fleet) -> None:
    async with fleet.caller() as caller:
        email = (await caller.call("GET", fleet[0], "/api/auth/session"))[1]["user"]["email"]
    answer = command(fleet[1].url, "--only", "probes", "--email", email, CONFORMANCE_PASSWORD=PASSWORD)
    assert answer.returncode == 0, answer.stdout + answer.stderr
