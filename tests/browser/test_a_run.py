"""A run as its user sees it, while pages are left, replicas die and networks fail."""

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.app import words
from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site, answer_of
from tests.browser.stage import said
from tests.browser.watch import NETWORK, NOT_FOUND, OFFLINE, Watch
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = (
    "Call me Ishmael. Some years ago, never mind how long precisely, ",
    "having little or no money in my purse, and nothing particular to interest me on shore, ",
    "I thought I would sail about a little and see the watery part of the world.",
)
STORY = "".join(PARTS)
SIMULATED = "This is a simulated answer"
BESIDE_THE_ANSWER = 150
"""Characters that stand below an answer: the state of the run, notes, buttons."""


def shows_a_beginning(text: str, answer: str) -> bool:
    """Whether the conversation shows that answer as far as it has come: nothing left out, nothing twice."""
    shown = text[text.index(answer[:20]) :]
    same = next((at for at, (a, b) in enumerate(zip(shown, answer, strict=False)) if a != b), len(answer))
    return len(shown) - same < BESIDE_THE_ANSWER


async def test_a_run_is_read_whole_and_once_though_the_page_is_reloaded_and_the_replica_killed(
    open_browser: OpenBrowser, site: Site, watch: Watch
) -> None:
    first, second = site.fleet.replicas
    site.balancer.prefer(first)
    browser = await open_browser()
    await browser.open_logged_out()
    await browser.register("anna-run@example.org", "Anna")
    session_id = await browser.start("Tell me a lot [[tokens=300 rate=100 size=8 seed=7]]", provider="simulated")
    await browser.reads(SIMULATED)
    await browser.page.reload()
    await browser.reads(SIMULATED)
    watch.announce(NETWORK)
    first.kill()
    seen = []

    async def completed() -> bool:
        seen.append(await browser.text())
        return await browser.has_status("Completed")

    await eventually(completed, "the run is completed", seconds=30)
    answer = words(answer_of(await site.events(await browser.token(), session_id)))
    assert len(answer) > 2300
    assert [text for text in seen if not shows_a_beginning(text, answer)] == []
    assert (text := await browser.text()).count(answer) == 1
    assert text.count(SIMULATED) == 1
    assert site.balancer.connections(second) > 0


async def test_every_tab_and_device_of_a_user_shows_the_same_and_a_stranger_sees_nothing(
    open_browser: OpenBrowser, site: Site, watch: Watch
) -> None:
    token, go_on = await site.new_login(), asyncio.Event()
    site.model.will_say("Tell it to all of us", *said(0, PARTS[0]), go_on, *said(1, PARTS[1] + PARTS[2]))
    tab = await open_browser(token)
    await tab.open()
    session_id = await tab.start("Tell it to all of us")
    await tab.reads(PARTS[0].strip())
    other_tab, phone = await tab.other_tab(), await open_browser(token)
    site.balancer.prefer(site.fleet[1])
    await other_tab.open(session_id)
    await phone.open()
    await phone.open_from_list("Tell it to all of us")
    for reader in (other_tab, phone):
        await reader.reads(PARTS[0].strip())
    go_on.set()
    for reader in (tab, other_tab, phone):
        await reader.sees_status("Completed")
        assert (await reader.text()).count(STORY) == 1
    assert await tab.text() == await other_tab.text() == await phone.text()

    stranger = await open_browser(await site.new_login())
    watch.announce(NOT_FOUND)
    await stranger.open()
    await stranger.sees_no_sessions()
    await stranger.open(session_id)
    await stranger.sees_there_is_no_such_session()
    for needs_a_session in ("Files", "Share", "Send"):
        await expect(stranger.page.get_by_role("button", name=needs_a_session, exact=True)).to_be_hidden()
    assert "Ishmael" not in await stranger.page.content()


async def test_a_page_that_was_offline_continues_exactly_where_it_stopped(
    open_browser: OpenBrowser, site: Site, watch: Watch
) -> None:
    token, go_on, finish = await site.new_login(), asyncio.Event(), asyncio.Event()
    site.model.will_say("Tell it slowly", *said(0, PARTS[0]), go_on, *said(1, PARTS[1]), finish, *said(2, PARTS[2]))
    browser = await open_browser(token)
    await browser.open()
    session_id = await browser.start("Tell it slowly")
    await browser.reads(PARTS[0].strip())
    watch.announce(OFFLINE, NETWORK)
    await browser.page.context.set_offline(True)  # which lets open connections live
    assert site.balancer.cut() > 0
    go_on.set()
    await eventually(lambda: site.has_said(token, session_id, STORY[: -len(PARTS[2])]), "the second part is in the log")
    assert "having" not in await browser.text()
    await browser.page.context.set_offline(False)
    await browser.reads("on shore")
    assert (PARTS[0] + PARTS[1]).strip() in await browser.text()
    finish.set()
    await browser.sees_status("Completed")
    assert (await browser.text()).count(STORY) == 1


async def test_an_interrupt_in_one_tab_ends_the_run_in_the_other(open_browser: OpenBrowser, site: Site) -> None:
    token, never = await site.new_login(), asyncio.Event()
    site.model.will_say("Never stop", PARTS[0], never)
    tab = await open_browser(token)
    await tab.open()
    session_id = await tab.start("Never stop")
    other_tab = await tab.other_tab()
    await other_tab.open(session_id)
    await tab.reads(PARTS[0].strip())
    await other_tab.reads(PARTS[0].strip())
    await other_tab.interrupt()
    for reader in (tab, other_tab):
        await reader.sees_status("Interrupted")
        await reader.cannot_interrupt()


async def test_a_follow_up_waits_its_turn_and_can_be_cancelled(open_browser: OpenBrowser, site: Site) -> None:
    token, go_on = await site.new_login(), asyncio.Event()
    site.model.will_say("First", PARTS[0], go_on)
    site.model.will_say("Third", "The third is answered.")
    browser = await open_browser(token)
    await browser.open()
    session_id = await browser.start("First")
    await browser.reads(PARTS[0].strip())
    await browser.send("Second, to be cancelled")
    await expect(browser.waiting_prompts).to_contain_text(["Second, to be cancelled"])
    await browser.cancel_waiting("Second, to be cancelled")
    await browser.reads("Cancelled before it began")
    await expect(browser.waiting_prompts).to_have_count(0)
    await browser.send("Third")
    go_on.set()
    await browser.reads("The third is answered.")
    await browser.sees_status("Completed")
    ends = [
        event["type"] for event in await site.events(token, session_id) if event["type"] in ("interrupted", "completed")
    ]
    assert ends == ["interrupted", "completed", "completed"]
