"""`webedt top`: a live view of a fleet, from the probes of one or several replicas. Needs no login."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import time
from collections import deque

import aiohttp

from webedt.cli.connecting import server_address, server_url
from webedt.cli.errors import TERMINATED, UNREACHABLE, USAGE, CommandError
from webedt.cli.fullscreen import FullScreen, can_show
from webedt.cli.output import print_json, terminal
from webedt.cli.top_figures import FleetFigures, fleet_figures
from webedt.cli.top_samples import Sample, read_metrics
from webedt.cli.top_view import table, view

WINDOW_SECONDS = 10.0
ANSWER_SECONDS = 3.0
WIDE = 1000

History = dict[str, deque[Sample]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `top`."""
    parser.add_argument(
        "--url", action="append", metavar="URL", help="a replica; may be repeated (default: WEBEDT_URL)"
    )
    parser.add_argument("--interval", type=_interval, default=1.0, metavar="SECONDS", help="how often to ask (1)")
    parser.add_argument("--once", action="store_true", help="print one table, over one interval, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object an interval (one with --once)")


def run(args: argparse.Namespace) -> int:
    """Watch until `q` or Ctrl-C. Raises CommandError; with `--once` also if no replica answers."""
    urls = [server_address(url, "--url") for url in args.url] if args.url else [server_url()]
    if args.once or args.json:
        return asyncio.run(_print(urls, args))
    if not can_show():
        raise CommandError("there is no terminal to draw on: use --once or --json", exit_status=USAGE)
    return asyncio.run(_watch(urls, args.interval))


async def _print(urls: list[str], args: argparse.Namespace) -> int:
    history: History = {}
    async with _http() as http:
        await _sample(http, urls, history)
        while True:
            await asyncio.sleep(args.interval)
            await _sample(http, urls, history)
            figures = fleet_figures(history)
            if args.json:
                print_json(figures.as_json())
            else:
                _print_table(figures)
            if args.once:
                break
    if all(samples[-1].fault for samples in history.values()):
        raise CommandError(
            "no replica answers. Is one running there? Set WEBEDT_URL or --url.", exit_status=UNREACHABLE
        )
    return 0


def _print_table(figures: FleetFigures) -> None:
    to = terminal()
    width = shutil.get_terminal_size().columns if to.seen else WIDE
    for line in table(figures.replicas, width, colours=to.styled):
        to.rendered(f"{line}\n")


async def _watch(urls: list[str], interval: float) -> int:
    """One task asks and draws; keys and signals wake it. Its ending is the only way out, so the screen is restored."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    ending: list[int] = []
    history: History = {}

    def end(status: int) -> None:
        ending.append(status)
        woken.set()

    def on_key() -> None:
        typed = os.read(sys.stdin.fileno(), 64)
        if not typed or b"q" in typed.lower():
            end(0)

    colours = terminal().styled
    with FullScreen(sys.stdout, sys.stdin.fileno()) as screen:
        loop.add_reader(sys.stdin.fileno(), on_key)
        loop.add_signal_handler(signal.SIGWINCH, woken.set)
        loop.add_signal_handler(signal.SIGINT, end, 0)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, TERMINATED)
        async with _http() as http:
            asked_at = 0.0
            while not ending:
                # A resize only draws anew: what is asked more often than `interval` is no second's rate.
                if time.monotonic() - asked_at >= interval:
                    asked_at = time.monotonic()
                    await _sample(http, urls, history)
                columns, lines = screen.size
                screen.draw(view(fleet_figures(history), columns, lines, colours=colours))
                try:
                    await asyncio.wait_for(woken.wait(), max(0.0, asked_at + interval - time.monotonic()))
                except TimeoutError:
                    continue
                woken.clear()
        loop.remove_reader(sys.stdin.fileno())
    return ending[0]


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))


async def _sample(http: aiohttp.ClientSession, urls: list[str], history: History) -> None:
    """Ask all at once and keep the answers of the last seconds."""
    for sample in await asyncio.gather(*(_ask(http, url) for url in urls)):
        samples = history.setdefault(sample.url, deque())
        samples.append(sample)
        while sample.taken_at - samples[0].taken_at > WINDOW_SECONDS and len(samples) > 2:
            samples.popleft()


async def _ask(http: aiohttp.ClientSession, url: str) -> Sample:
    try:
        async with http.get(f"{url}/health/status") as answer:
            status = await answer.json(content_type=None)
        async with http.get(f"{url}/metrics") as answer:
            metrics = read_metrics(await answer.text())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return Sample(url, time.monotonic(), fault=_fault(error))
    if not isinstance(status, dict) or "container" not in status:
        return Sample(url, time.monotonic(), fault="no WebEDT server answers there")
    return Sample(url, time.monotonic(), status, metrics)


def _fault(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {ANSWER_SECONDS:.0f} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connection refused" if isinstance(error.os_error, ConnectionRefusedError) else str(error.os_error)
    return (
        "the connection broke" if isinstance(error, aiohttp.ClientError | OSError) else "no WebEDT server answers there"
    )


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0.1 on: {text!r}")
    return seconds
