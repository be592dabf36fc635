"""Draws the dashboard out of a real Prometheus: `python -m tests.deploy.dashboard_picture [FILE]`.

Three replicas under load for a while; one is killed and comes back, one drains and comes back, and one user asks for
too many streams. Then each query of the dashboard is asked, and what comes is drawn and photographed.
"""

import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.palette import with_palette
from tests.deploy.dashboard import Panel, Query, panels
from tests.deploy.dashboard_page import Series, page
from tests.deploy.prometheus import Prometheus, scraping
from tests.support.browser import launched
from tests.support.chromium import MISSING, find_chromium
from tests.support.fleet import Caller, Fleet, Replica, start_fleet
from tests.support.fleet_reader import Reader
from tests.support.load import meanwhile
from tests.support.suite import new_suite

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "monitoring" / "dashboard.png"
RATE_INTERVAL = "6s"
MAX_STREAMS = 30
CALM_SECONDS, KILLED_SECONDS, DRAINED_SECONDS, CROWDED_SECONDS = 30, 20, 20, 15


async def live_through(fleet: Fleet, caller: Caller) -> None:
    """What the picture shows."""
    first, second, third = fleet.replicas
    await asyncio.sleep(CALM_SECONDS)
    second.kill()
    await asyncio.sleep(KILLED_SECONDS)
    second.start()
    await second.ready()
    third.terminate()
    await third.ended()
    third.start()
    await asyncio.sleep(DRAINED_SECONDS)
    run = await caller.start(first, "[[tokens=400 rate=20]]")
    async with meanwhile(*(following(caller, first, run.session_id) for _ in range(2 * MAX_STREAMS))):
        await asyncio.sleep(CROWDED_SECONDS)


async def following(caller: Caller, replica: Replica, session_id: str) -> None:
    while True:
        async with caller.http.get(f"{replica.url}/api/resume/{session_id}") as answer:
            await answer.read()
        await asyncio.sleep(1)


async def prompting(caller: Caller, fleet: Fleet, number: int) -> None:
    """One person after the other: a prompt somewhere, read here and there until its end."""
    while True:
        at = number % len(fleet.replicas)
        around = fleet.replicas[at:] + fleet.replicas[:at]
        failing = " error_after=30" if number % 20 == 7 else ""
        run = await caller.start_somewhere(around, f"[[tokens={150 + number % 7 * 60} rate=25{failing}]]")
        urls = [replica.url for replica in around]
        readers = [Reader(caller.http, run.session_id, urls[turn:] + urls[:turn]) for turn in range(2)]
        await asyncio.gather(*(reader.follow() for reader in readers))
        await caller.start_somewhere(around, "[[tokens=20 rate=0]]")
        number += 3


async def browsing(caller: Caller, fleet: Fleet, number: int) -> None:
    """Somebody who looks at lists and pages, and at replicas that may be away."""
    while True:
        replica = fleet[number % len(fleet.replicas)]
        number += 1
        try:
            _, found = await caller.call("GET", replica, "/api/sessions")
            for session in found["sessions"][:2]:
                await caller.call("GET", replica, f"/api/sessions/{session['id']}/events?after=0")
                async with caller.http.put(
                    f"{replica.url}/api/sessions/{session['id']}/files/notes.txt", data=b"x" * 20_000
                ) as answer:
                    await answer.read()
        except (OSError, TypeError, KeyError):
            pass
        await asyncio.sleep(0.3)


async def asked(prometheus: Prometheus, query: Query, start: float, end: float) -> list[Series]:
    answer = await prometheus.ask(
        "query_range", query=query.filled(RATE_INTERVAL), start=f"{start}", end=f"{end}", step="1"
    )
    found = []
    for one in answer["result"]:
        points = [(float(second), float(value)) for second, value in one["values"]]
        finite = [point for point in points if math.isfinite(point[1])]
        if finite:
            found.append(Series(query.name(one["metric"]), finite))
    return sorted(found, key=lambda series: series.name)


async def drawn(prometheus: Prometheus, start: float, end: float) -> str:
    found: list[tuple[Panel, list[Series]]] = []
    for panel in panels():
        series = [one for query in panel.queries for one in await asked(prometheus, query, start, end)]
        if panel.kind != "row" and not series:
            raise SystemExit(f"nothing to draw in {panel.title}")
        found.append((panel, series))
    return page("WebEDT", "three replicas; minutes and seconds since the load began", found, start, end)


async def photograph(program: str, text: str) -> bytes:
    async with launched(program) as browser:
        sheet = await browser.new_page(viewport={"width": 1400, "height": 800})
        await sheet.set_content(text)
        png = await sheet.screenshot(full_page=True)
        return await with_palette(sheet, png)


async def take(program: str) -> bytes:
    with new_suite() as suite, tempfile.TemporaryDirectory(prefix="webedt-prometheus-") as folder:
        server = await asyncio.to_thread(suite.server)
        async with (
            server.database("dashboard", template=server.template) as url,
            start_fleet(url, 3, MAX_STREAMS_PER_USER=f"{MAX_STREAMS}") as fleet,
            scraping(fleet.replicas, Path(folder), scrape_seconds=1, speed=60) as prometheus,
            fleet.caller(await fleet.new_user()) as crowd,
        ):
            people = [fleet.caller(await fleet.new_user()) for _ in range(6)]
            callers = [await person.__aenter__() for person in people]
            start = time.time()
            async with meanwhile(
                *(prompting(caller, fleet, number) for number, caller in enumerate(callers * 2)),
                *(browsing(caller, fleet, number) for number, caller in enumerate(callers[:3])),
            ):
                await live_through(fleet, crowd)
            text = await drawn(prometheus, start + 2, time.time())
            for person in people:
                await person.__aexit__(None, None, None)
    return await photograph(program, text)


def main(picture: Path) -> None:
    png = asyncio.run(take(find_chromium() or sys.exit(MISSING)))
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(png)
    print(f"{picture}: {len(png):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
