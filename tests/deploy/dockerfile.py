"""Reads a Dockerfile into stages of steps, and a .dockerignore into a rule: as much of both languages as ours use.

What it does not know it refuses, so that a construct that nobody proved cannot slip in: no heredocs, no escapes but the
line's end, no wildcards in COPY.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

INSTRUCTIONS = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
    *("RUN", "STOPSIGNAL", "USER", "WORKDIR"),
}
FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")
ASSIGNMENT = re.compile(r"(\w+)=(\S*)\s*")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class UnknownSyntax(ValueError):
    """The Dockerfile says something that this reader does not know."""


@dataclass(frozen=True)
class Step:
    instruction: str
    flags: Mapping[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The exec form, or else the words."""
        return list(json.loads(self.text)) if self.is_exec_form else self.text.split()

    @property
    def is_exec_form(self) -> bool:
        return self.text.startswith("[")

    @property
    def command(self) -> list[str]:
        """Of HEALTHCHECK."""
        return Step("CMD", {}, self.text.removeprefix("CMD ")).words

    @property
    def assignments(self) -> dict[str, str]:
        """Of ENV and ARG: names and values, before anything is put in."""
        found = dict(ASSIGNMENT.findall(self.text))
        if ASSIGNMENT.sub("", self.text):
            raise UnknownSyntax(self.text)
        return found


@dataclass
class Stage:
    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def all(self, instruction: str) -> list[Step]:
        return [step for step in self.steps if step.instruction == instruction]

    def last(self, instruction: str) -> Step:
        """The one that counts where the last one does."""
        return self.all(instruction)[-1]


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` put in; an unknown name is empty, as with Docker."""
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def read_dockerfile(text: str) -> list[Stage]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    before: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(str.strip, logical):
        instruction, _, rest = line.partition(" ")
        if instruction not in INSTRUCTIONS or "<<" in rest:
            raise UnknownSyntax(line)
        flags = {}
        while found := FLAG.match(rest):
            flags[found[1]] = found[2]
            rest = rest[found.end() :]
        step = Step(instruction, flags, rest.strip())
        if instruction == "FROM":
            base, *named = filled_in(step.text, before).split()
            stages.append(Stage(base, named[1] if named else str(len(stages))))
        elif stages:
            stages[-1].steps.append(step)
        else:
            before |= step.assignments
    return stages


def read_dockerignore(text: str) -> Callable[[Path], bool]:
    """Whether a path of the context, relative to it, is left out: the last line about it or a parent counts."""
    rules = []
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        rules.append((re.compile(pattern), not line.startswith("!")))

    def ignored(path: Path) -> bool:
        names = ["/".join(path.parts[:length]) for length in range(1, len(path.parts) + 1)]
        answer = False
        for pattern, leaves_out in rules:
            if any(pattern.fullmatch(name) for name in names):
                answer = leaves_out
        return answer

    return ignored


def copied_from_context(stages: list[Stage]) -> list[str]:
    """Every source of a COPY that is not from another stage."""
    return [
        source
        for stage in stages
        for step in stage.all("COPY")
        if "from" not in step.flags
        for source in step.words[:-1]
    ]
