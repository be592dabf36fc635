"""Completion scripts, in the shells that they are for."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from webedt.cli.completion import completion_words
from webedt.cli.completion_scripts import SHELLS
from webedt.cli.main import COMMANDS, build_parser
from webedt.cli.tree import command_tree

ASK = """
source "$1"; shift
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _webedt
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    words, folder = completion_words(command_tree(build_parser())), tmp_path_factory.mktemp("scripts")
    for shell, write in SHELLS.items():
        (folder / shell).write_text(write(words))
    return {shell: folder / shell for shell in SHELLS}


async def output_of(*command: str | Path, cwd: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd
    )
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def completed(script: Path, lines: Sequence[str], cwd: Path) -> list[list[str]]:
    """What bash offers at the end of each line."""
    said = await output_of("bash", "--norc", "-c", ASK, "bash", script, *lines, cwd=cwd)
    return [line.split() for line in said.splitlines()]


async def test_bash_completes_commands_options_values_and_files(scripts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a file.txt").touch()
    offered = await completed(
        scripts["bash"],
        [
            "webedt ",
            "webedt r",
            "webedt run --on",
            "webedt run hello --on-busy ",
            "webedt sessions --status f",
            "webedt keys ",
            "webedt files put 5e55 a",
            "webedt completion ",
            "webedt run run --pro",
            "webedt sessions --limit ",
            "webedt --v",
        ],
        tmp_path,
    )
    assert offered == [
        [name for name, _ in COMMANDS],
        ["run", "resume"],
        ["--on-busy", "--on-interrupt"],
        ["queue", "interrupt", "reject"],
        ["failed"],
        ["set", "list", "remove"],
        ["a", "file.txt"],
        ["bash", "fish", "zsh"],
        ["--provider"],
        [],
        ["--version"],
    ]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
async def test_zsh_understands_its_script(scripts: dict[str, Path]) -> None:
    await output_of("zsh", "-n", scripts["zsh"])
    load = 'autoload -Uz compinit && compinit -u -D; source "$1"; print $_comps[webedt]'
    assert await output_of("zsh", "-fc", load, "zsh", scripts["zsh"]) == "_webedt\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
async def test_fish_completes_commands_options_and_values(scripts: dict[str, Path]) -> None:
    ask = (
        "source $argv[1]; for line in $argv[2..]; complete -C $line | string split -f1 \\t | string join ' '; end; true"
    )
    lines = ["webedt r", "webedt keys ", "webedt run --on-busy ", "webedt run --prov"]
    said = await output_of("fish", "--no-config", "-c", ask, scripts["fish"], *lines)
    assert [sorted(line.split()) for line in said.splitlines()] == [
        ["resume", "run"],
        ["list", "remove", "set"],
        ["interrupt", "queue", "reject"],
        ["--provider"],
    ]
