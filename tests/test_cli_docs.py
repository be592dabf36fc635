"""docs/cli.md says what `webedt` understands: every command, every argument, every option, every exit status."""

import re
from collections.abc import Iterator
from pathlib import Path

from webedt.cli.errors import MEANINGS
from webedt.cli.main import build_parser
from webedt.cli.tree import Node, Option, command_tree

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "cli.md").read_text()
TREE = command_tree(build_parser())


def rows_of_option(option: Option) -> str:
    takes = "" if option.metavar is None else " " + ("\\|".join(option.choices) or option.metavar)
    names = ", ".join(f"`{name}{takes}`" for name in reversed(option.names))
    return f"| {names} | {option.help} |"


def heading(node: Node) -> str:
    return f"### `{' '.join(('webedt', *node.path, *(argument.metavar for argument in node.arguments)))}`"


def commands(node: Node) -> Iterator[Node]:
    """Those that do something by themselves: a command with actions is described by its actions."""
    for inner in node.commands.values():
        yield from commands(inner) if inner.commands else [inner]


def section_of(node: Node) -> str:
    start = DOCS.index(f"\n{heading(node)}\n")
    return re.split(r"\n##", DOCS[start + 5 :], maxsplit=1)[0]


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert re.findall(r"^### `webedt.*$", DOCS, re.MULTILINE) == [heading(node) for node in commands(TREE)]


def test_every_option_stands_in_the_table_of_its_command_as_it_is() -> None:
    written = {node.path: re.findall(r"^\| `-.*$", section_of(node), re.MULTILINE) for node in commands(TREE)}
    options = {
        node.path: [rows_of_option(option) for option in node.options if "--help" not in option.names]
        for node in commands(TREE)
    }
    assert written == options


def test_every_option_that_the_text_names_is_there() -> None:
    known = {name for node in [TREE, *commands(TREE)] for option in node.options for name in option.names}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", DOCS)) <= known


def test_every_exit_status_stands_in_its_table_as_it_is() -> None:
    written = re.findall(r"^\| (\d+) \| (.+) \|$", DOCS, re.MULTILINE)
    assert {int(status): meaning for status, meaning in written} == MEANINGS
    readme = (ROOT / "README.md").read_text()
    assert "docs/cli.md" in readme
