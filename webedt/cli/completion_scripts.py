"""Completion scripts for bash, zsh and fish, from a list of what there is to complete. Pure."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from webedt.cli.tree import Option

# Bash 3.2, which macOS has, knows neither `mapfile` nor `compopt`.
_BASH_FILES = """compopt -o filenames 2>/dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current"))"""


@dataclass(frozen=True)
class CommandWords:
    """What can follow `webedt PATH…`: commands with their help, options, and the values of its argument."""

    path: tuple[str, ...]
    commands: dict[str, str]
    options: dict[str, Option]
    values: tuple[str, ...]
    takes_files: bool


def bash(entries: list[CommandWords]) -> str:
    """A function for `complete -F`."""
    lines = [
        "# bash completion for webedt, by `webedt completion bash`",
        "_webedt() {",
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path='' word index",
        "    for ((index = 1; index < COMP_CWORD; index++)); do",
        "        word=${COMP_WORDS[index]}",
        '        case "$path $word" in',
        *(f"            {_quoted(' '.join(('', *entry.path)))}) path+=\" $word\" ;;"
          for entry in entries if entry.path),
        "        esac",
        "    done",
        "    COMPREPLY=()",
        '    case "$path $previous" in',
        *(f"        {_quoted(' '.join(('', *path, name)))}) {_bash_value(option)}; return ;;"
          for path, name, option in _options_with_values(entries)),
        "    esac",
        '    case "$path" in',
    ]  # fmt: skip
    for entry in entries:
        words = " ".join([*entry.commands, *entry.values])
        options = " ".join(_long_names(entry))
        lines += [
            f"        {_quoted(' '.join(('', *entry.path)) if entry.path else '')})",
            f"            if [[ $current == -* ]]; then COMPREPLY=($(compgen -W '{options}' -- \"$current\"))",
            *([f"            else COMPREPLY=($(compgen -W '{words}' -- \"$current\"))"] if words else []),
            *([f"            else {_BASH_FILES}"] if entry.takes_files else []),
            "            fi ;;",
        ]
    return "\n".join([*lines, "    esac", "}", "complete -F _webedt webedt", ""])


def zsh(entries: list[CommandWords]) -> str:
    """An autoloaded function; sourced by hand it works, too."""
    lines = [
        "#compdef webedt",
        "# zsh completion for webedt, by `webedt completion zsh`",
        "_webedt() {",
        "    local path='' index",
        "    local -a found",
        "    for ((index = 2; index < CURRENT; index++)); do",
        '        case "$path ${words[index]}" in',
        *(f"            ({_quoted(' '.join(('', *entry.path)))}) path+=\" ${{words[index]}}\" ;;"
          for entry in entries if entry.path),
        "        esac",
        "    done",
        '    case "$path ${words[CURRENT-1]}" in',
        *(f"        ({_quoted(' '.join(('', *path, name)))}) {_zsh_value(option)}; return ;;"
          for path, name, option in _options_with_values(entries)),
        "    esac",
        '    case "$path" in',
    ]  # fmt: skip
    for entry in entries:
        options = [_described(name, option.help) for name, option in _every_option(entry)]
        words = [_described(name, text) for name, text in entry.commands.items()] + list(map(_quoted, entry.values))
        lines += [
            f"        ({_quoted(' '.join(('', *entry.path)) if entry.path else '')})",
            f"            if [[ ${{words[CURRENT]}} == -* ]]; then found=({' '.join(options)}); _describe option found",
            *([f"            else found=({' '.join(words)}); _describe command found"] if words else []),
            *(["            else _files"] if entry.takes_files else []),
            "            fi ;;",
        ]
    ending = 'if [[ $funcstack[1] == _webedt ]]; then _webedt "$@"; else compdef _webedt webedt; fi'
    return "\n".join([*lines, "    esac", "}", ending, ""])


def fish(entries: list[CommandWords]) -> str:
    """One `complete` a word."""
    lines = ["# fish completion for webedt, by `webedt completion fish`", "complete -c webedt -f"]
    for entry in entries:
        inner = " ".join(entry.commands)
        seen = [f"__fish_seen_subcommand_from {word}" for word in entry.path]
        if inner:
            seen.append(f"not __fish_seen_subcommand_from {inner}")
        start = f"complete -c webedt -n {_quoted('; and '.join(seen))}"
        for name, text in entry.commands.items():
            lines.append(f"{start} -a {name} -d {_quoted(text)}")
        if entry.values:
            lines.append(f"{start} -a {_quoted(' '.join(entry.values))}")
        if entry.takes_files:
            lines.append(f"{start} -F")
        for option in entry.options.values():
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            takes = ""
            if option.metavar is not None:
                takes = f" -x -a {_quoted(' '.join(option.choices))}" if option.choices else " -r"
                takes += " -F" if option.metavar == "FILE" else ""
            lines.append(f"{start} {names}{takes} -d {_quoted(option.help)}")
    return "\n".join([*lines, ""])


SHELLS: dict[str, Callable[[list[CommandWords]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _options_with_values(entries: list[CommandWords]) -> list[tuple[tuple[str, ...], str, Option]]:
    return [
        (entry.path, name, option)
        for entry in entries
        for name, option in _every_option(entry)
        if option.metavar is not None
    ]


def _every_option(entry: CommandWords) -> list[tuple[str, Option]]:
    return [(name, option) for option in entry.options.values() for name in option.names]


def _long_names(entry: CommandWords) -> list[str]:
    return [name for name, _ in _every_option(entry) if name.startswith("--")]


def _bash_value(option: Option) -> str:
    if option.choices:
        return f"COMPREPLY=($(compgen -W '{' '.join(option.choices)}' -- \"$current\"))"
    return _BASH_FILES if option.metavar == "FILE" else "COMPREPLY=()"


def _zsh_value(option: Option) -> str:
    if option.choices:
        return f"found=({' '.join(option.choices)}); _describe value found"
    return "_files" if option.metavar == "FILE" else "_message value"


def _described(name: str, text: str) -> str:
    return _quoted(f"{name}:{text}" if text else name)


def _quoted(text: str) -> str:
    return shlex.quote(text)
