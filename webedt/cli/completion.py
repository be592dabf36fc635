"""`webedt completion`: a script with which a shell completes commands, options and their values.

Written once from the tree of argparse, so it knows what `--help` knows; completing starts no process of ours.
"""

import argparse

from webedt.cli.completion_scripts import SHELLS, CommandWords
from webedt.cli.output import terminal
from webedt.cli.tree import Node, command_tree

HOW = """how to switch it on:
  bash  echo 'source <(webedt completion bash)' >> ~/.bashrc
  zsh   webedt completion zsh > "${fpath[1]}/_webedt"
  fish  webedt completion fish > ~/.config/fish/completions/webedt.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument of `completion`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HOW
    parser.add_argument("shell", metavar="SHELL", choices=sorted(SHELLS), help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from webedt.cli.main import build_parser

    terminal().rendered(SHELLS[args.shell](completion_words(command_tree(build_parser()))))
    return 0


def completion_words(tree: Node) -> list[CommandWords]:
    """One entry a command, in the order of the tree; the first is `webedt` itself."""
    entry = CommandWords(
        path=tree.path,
        commands={name: node.help for name, node in tree.commands.items()},
        options={option.names[-1]: option for option in tree.options},
        values=next((argument.choices for argument in tree.arguments if argument.choices), ()),
        takes_files=any(argument.metavar == "FILE" for argument in tree.arguments),
    )
    return [entry, *(words for node in tree.commands.values() for words in completion_words(node))]
