"""Every check there is, in the order in which they run."""

from tests.conformance import (
    conventions,
    devices,
    files,
    isolation,
    limits,
    logins,
    operations,
    prompts,
    queueing,
    repeating,
    resuming,
    sessions,
    sharing,
    stopping,
    wire_format,
)
from tests.conformance.check import Check, checks_of

# `limits` uses limits up, and `logins` ends with the guest logged out: these two come last, in this order.
MODULES = (
    wire_format, resuming, prompts, devices, stopping, queueing, repeating, conventions, isolation, sessions,
    sharing, files, operations, logins, limits,
)  # fmt: skip
CHECKS: tuple[Check, ...] = tuple(found for module in MODULES for found in checks_of(module))


def chosen(names: list[str]) -> list[Check]:
    """The checks of these names or groups, all without names. Raises `KeyError` for a name that nobody has."""
    for name in names:
        if not any(name in (check.name, check.group) for check in CHECKS):
            raise KeyError(name)
    return [check for check in CHECKS if not names or check.name in names or check.group in names]


def as_markdown() -> str:
    """The list of checks for `docs/conformance.md`."""
    lines: list[str] = []
    for module in MODULES:
        found = checks_of(module)
        title = (module.__doc__ or "").strip().partition("\n")[0].partition(". ")[0].rstrip(".")
        lines += [f"### `{found[0].group}`: {title}", "", "| check | what must hold | rule |", "| --- | --- | --- |"]
        for one in found:
            sentence = f"{one.sentence} *(--long)*" if one.long else one.sentence
            lines.append(f"| `{one.name}` | {sentence} | {one.rule} |")
        lines.append("")
    return "\n".join(lines)
