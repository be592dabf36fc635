"""A run that never fails proves nothing: each breach of the contract turns the right checks red, and only a breach."""

import pytest

from tests.conformance.breaking_proxy import Mutation, breaking_proxy
from tests.conformance.catalogue import chosen
from tests.conformance.deployment import Options
from tests.conformance.mutations import BROKEN
from tests.conformance.running import run_checks
from tests.support.fleet import Fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")
# A broken server may leave a check waiting; the sound one is waited for.
IMPATIENT, PATIENT = 4.0, 60.0


async def failed_behind(fleet: Fleet, mutation: Mutation, names: tuple[str, ...], seconds: float) -> dict[str, str]:
    """The checks that failed through such a proxy, and why."""
    options = Options(token=await fleet.new_user(), timeout_seconds=seconds)
    async with breaking_proxy(fleet[0].port, mutation) as url:
        result = await run_checks([url], chosen(list(names)), options, lambda _line: None)
    return {one.name: f"expected {one.expected}; came {one.came}" for one in result.failed}


@pytest.mark.parametrize("breach", BROKEN)
async def test_a_breach_is_found_by_its_checks(fleet: Fleet, breach: str) -> None:
    broken = BROKEN[breach]
    found = await failed_behind(fleet, broken.mutation, broken.caught_by, IMPATIENT)
    assert found.keys() == set(broken.caught_by)


async def test_the_proxy_itself_breaks_nothing(fleet: Fleet) -> None:
    names = {name for broken in BROKEN.values() for name in broken.caught_by}
    assert await failed_behind(fleet, Mutation(), tuple(sorted(names)), PATIENT) == {}
