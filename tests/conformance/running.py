"""Runs checks one after the other and says what came of them."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.conformance.check import CannotRun, Check, Skip, Violation, shown
from tests.conformance.deployment import Deployment, Options
from tests.conformance.rules import RULES
from tests.conformance.wire import Address

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    name: str
    group: str
    sentence: str
    outcome: str
    seconds: float
    expected: str = ""
    came: str = ""
    rule: str = ""
    why: str = ""

    def lines(self) -> list[str]:
        took = f" ({self.seconds:.1f} s)" if self.seconds >= 0.5 else ""
        word = "FAILED" if self.outcome == FAILED else self.outcome
        found = [f"  {word:7}  {self.name}: {self.sentence}{took}"]
        if self.outcome == FAILED:
            found += [f"             expected  {self.expected}", f"             came      {self.came}"]
            found += [f"             rule      {self.rule}: {RULES[self.rule]}"]
        if self.outcome == SKIPPED:
            found += [f"             why       {self.why}"]
        return found


@dataclass(frozen=True)
class Result:
    urls: Sequence[str]
    seconds: float
    outcomes: Sequence[Outcome]
    left_behind: Sequence[str] = ()

    def count(self, outcome: str) -> int:
        return sum(one.outcome == outcome for one in self.outcomes)

    @property
    def failed(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.outcome == FAILED]

    def summary(self) -> str:
        counts = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in (OK, FAILED, SKIPPED))
        return f"{len(self.outcomes)} checks of {', '.join(self.urls)}: {counts} [{self.seconds:.0f} s]"

    def as_json(self) -> str:
        counts = {outcome: self.count(outcome) for outcome in (OK, FAILED, SKIPPED)}
        checks = [asdict(one) for one in self.outcomes]
        document: dict[str, Any] = {"urls": list(self.urls), "seconds": round(self.seconds, 1), **counts}
        return json.dumps({**document, "leftBehind": list(self.left_behind), "checks": checks}, indent=2) + "\n"


async def run_checks(urls: Sequence[str], checks: Sequence[Check], options: Options, say: Say) -> Result:
    """Run `checks` against the replicas at `urls`. Raises `CannotRun` when there is nothing to be checked."""
    began = time.monotonic()
    try:
        addresses = [Address.of(url) for url in urls]
    except ValueError as error:
        raise CannotRun(str(error)) from None
    deployment = Deployment(addresses, options)
    outcomes: list[Outcome] = []
    left: list[str] = []
    try:
        await deployment.open()
        group = ""
        for check in checks:
            if check.group != group:
                group = check.group
                say(group)
            outcomes.append(await _outcome(deployment, check, options))
            for line in outcomes[-1].lines():
                say(line)
    finally:
        left = await deployment.close()
    for thing in left:
        say(f"left behind: {thing}")
    return Result(urls, time.monotonic() - began, outcomes, left)


async def _outcome(deployment: Deployment, check: Check, options: Options) -> Outcome:
    began = time.monotonic()
    found: dict[str, str] = {"outcome": OK}
    try:
        if check.long and not options.long:
            raise Skip("it takes long; --long runs it")
        if check.needs_runs and deployment.no_runs:
            raise Skip(deployment.no_runs)
        async with asyncio.timeout(options.timeout_seconds):
            await check.run(deployment)
    except Skip as skip:
        found = {"outcome": SKIPPED, "why": str(skip)}
    except Violation as error:
        found = {"outcome": FAILED, "expected": error.expected, "came": error.came, "rule": error.rule or check.rule}
    except TimeoutError:
        came = f"none within {options.timeout_seconds:g} s"
        found = {"outcome": FAILED, "expected": "an end of this check", "came": came, "rule": check.rule}
    except Exception as error:
        # An answer of another shape than the check could imagine, or a connection that was refused.
        came = shown(repr(error))
        found = {"outcome": FAILED, "expected": "an answer that can be read", "came": came, "rule": check.rule}
    return Outcome(check.name, check.group, check.sentence, seconds=time.monotonic() - began, **found)
