"""What a check is, and how it ends: in peace, with a `Violation`, or with a `Skip`."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

LONGEST = 300


class Violation(Exception):
    """A rule was broken. `rule` is given where it is another one than the check's own."""

    def __init__(self, expected: str, came: object, rule: str | None = None) -> None:
        self.expected = expected
        self.came = shown(came)
        self.rule = rule
        super().__init__(f"expected {expected}; came {self.came}")


class Skip(Exception):
    """The deployment does not let this be checked; the text says why."""


class CannotRun(Exception):
    """Nothing can be checked at all."""


@dataclass(frozen=True)
class Check:
    """`needs_runs`: it starts runs of the simulated provider. `long`: only with `--long`."""

    name: str
    group: str
    sentence: str
    rule: str
    needs_runs: bool
    long: bool
    run: Callable[[Any], Awaitable[None]]


def check(rule: str, *, needs_runs: bool = True, long: bool = False) -> Callable[[Any], Any]:
    """Marks `async def its_name(deployment)`, whose docstring is the sentence that must be true."""

    def mark(function: Any) -> Any:
        function.marks = {"rule": rule, "needs_runs": needs_runs, "long": long}
        return function

    return mark


def checks_of(module: ModuleType) -> list[Check]:
    """The checks of a module, in the order in which they stand there."""
    group = module.__name__.rpartition(".")[2].replace("_", "-")
    return [
        Check(name.replace("_", "-"), group, " ".join(found.__doc__.split()), run=found, **found.marks)
        for name, found in vars(module).items()
        if hasattr(found, "marks")
    ]


def shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def expect(condition: object, expected: str, came: object, rule: str | None = None) -> None:
    if not condition:
        raise Violation(expected, came, rule)


def expect_equal(came: object, expected: object, what: str, rule: str | None = None) -> None:
    if came != expected:
        raise Violation(f"{what}: {shown(expected)}", came, rule)


def expect_members(value: Any, members: Sequence[str], what: str, rule: str | None = None) -> None:
    """`value` is an object with at least these members: more may be added to the contract later."""
    if not isinstance(value, dict) or not set(members) <= value.keys():
        raise Violation(f"{what} with the members {', '.join(members)}", value, rule)


def violate(expected: str, came: object, rule: str | None = None) -> NoReturn:
    raise Violation(expected, came, rule)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """All of them at once; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
