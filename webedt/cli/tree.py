"""The tree of commands as data, read from argparse: for completion, and for the documentation's test."""

import argparse
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Option:
    """An option: its spellings, the short ones first, what it takes (None: nothing) and among which."""

    names: tuple[str, ...]
    metavar: str | None
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Argument:
    metavar: str
    choices: tuple[str, ...]


@dataclass
class Node:
    """`webedt` itself, a command, or a command's action."""

    path: tuple[str, ...]
    help: str
    options: list[Option] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)
    commands: dict[str, "Node"] = field(default_factory=dict)


def command_tree(parser: argparse.ArgumentParser, path: tuple[str, ...] = (), help_text: str = "") -> Node:
    """What `parser` understands."""
    node = Node(path, help_text)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                node.commands[name] = command_tree(inner, (*path, name), texts.get(name, ""))
        elif action.option_strings:
            names = tuple(sorted(action.option_strings, key=len))
            takes = None if action.nargs == 0 else str(action.metavar or action.dest.upper())
            node.options.append(Option(names, takes, _choices(action), action.help or ""))
        else:
            node.arguments.append(Argument(str(action.metavar or action.dest), _choices(action)))
    return node


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(map(str, action.choices or ()))
