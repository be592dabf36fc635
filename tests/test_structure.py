"""Rules about the code that no linter knows. Which layer imports which is checked by `scripts/check`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import webedt

PACKAGE = Path(webedt.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_LINES = 260
# Longer than one idea should be; the number is what each may have until it is divided, never more.
LONGER = {
    "config.py": 420,  # a list of settings
    "database/postgres.py": 320,
    "services/execution.py": 420,
}

STATEMENT = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE \w+|DELETE FROM|WITH \w+ AS|CREATE|DROP|ALTER|TRUNCATE|LISTEN|NOTIFY|COPY)\b"
)
# What has no parameters to mistake and no table of ours: probes, settings, locks, and how databases are made.
SQL_ALLOWED = {
    "bus/postgres.py": {"SELECT pg_notify($1, $2)"},
    "cli/dev_database.py": {"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", 'CREATE DATABASE "'},
    "database/migrations.py": {
        "SELECT to_regclass('schema_migrations')",
        "SELECT version FROM schema_migrations",
        "SELECT pg_advisory_xact_lock(",
    },
    "database/postgres.py": {"SELECT 1"},
}

# A task of its own may be made by `Background`, and where a function awaits its own tasks before it returns.
TASKS_ALLOWED = {
    "daemon.py": {"_until_told"},
    "http/long_poll.py": {"wait_beyond"},
    "http/updates.py": {"_next"},
    "kernel/background.py": {"_start"},
    "log/replay.py": {"page"},
    "providers/claude_client.py": {"_answered"},
    "services/driver.py": {"_until_stopped"},
}


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


TREES = {name_of(module): ast.parse(module.read_text()) for module in MODULES}


def literals(tree: ast.AST) -> Iterator[str]:
    """Every string of the code, the fixed parts of f-strings included; docstrings are not code."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def makers_of_tasks(tree: ast.AST, function: str = "") -> Iterator[str]:
    """The functions in which `create_task` or `ensure_future` is called."""
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        match node:
            case ast.Call(
                func=ast.Attribute(attr="create_task" | "ensure_future") | ast.Name(id="create_task" | "ensure_future")
            ):
                yield inner
        yield from makers_of_tasks(node, inner)


def test_sql_stands_in_the_sql_folder() -> None:
    found = {
        name: {text for text in literals(tree) if STATEMENT.match(text)} - SQL_ALLOWED.get(name, set())
        for name, tree in TREES.items()
    }
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_a_module_holds_one_idea() -> None:
    lines = {name_of(module): len(module.read_text().splitlines()) for module in MODULES}
    assert {name: count for name, count in lines.items() if count > LONGER.get(name, MAX_LINES)} == {}


def test_tasks_are_named_and_watched() -> None:
    """Use `webedt.kernel.Background`."""
    found = {name: set(makers_of_tasks(tree)) - TASKS_ALLOWED.get(name, set()) for name, tree in TREES.items()}
    assert {name: functions for name, functions in found.items() if functions} == {}


def test_a_module_says_what_it_is() -> None:
    assert [name for name, tree in TREES.items() if tree.body and not ast.get_docstring(tree)] == []


def test_what_is_allowed_is_still_there() -> None:
    """An allowance that nobody needs any more would let the next one in."""
    for name, allowed in SQL_ALLOWED.items():
        assert allowed <= set(literals(TREES[name])), name
    for name, functions in TASKS_ALLOWED.items():
        assert functions <= set(makers_of_tasks(TREES[name])), name
    for name in LONGER:
        assert len((PACKAGE / name).read_text().splitlines()) > MAX_LINES, name


def test_only_the_configuration_reads_the_environment_of_a_server() -> None:
    """Commands hand the environment over; nobody behind them looks into it."""
    readers = {
        name_of(module) for module in MODULES if re.search(r"os\.environ|getenv|from os import", module.read_text())
    }
    # These hand some of it on to processes that they start.
    allowed = {"database/embedded_files.py", "providers/command_process.py"}
    assert {name for name in readers if not name.startswith(("cli/", "client/"))} - {"config.py"} <= allowed
