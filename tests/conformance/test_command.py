"""The command, the rules and the page about them, and what the run may know."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.conformance.catalogue import CHECKS, as_markdown
from tests.conformance.rules import RULES
from tests.support.ports import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MAX_LINES = 260


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.conformance", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_tells_what_cannot_be_run_from_what_failed() -> None:
    nobody = command(f"http://127.0.0.1:{free_port()}", "--only", "probes")
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "cannot be used" in nobody.stderr
    assert command("ftp://127.0.0.1").returncode == 2
    assert command().returncode == 2
    assert command("http://127.0.0.1", "--only", "no-such-check").returncode == 2


def test_the_command_lists_its_checks() -> None:
    lines = command("--list").stdout.splitlines()
    assert lines[-1] == f"{len(CHECKS)} of {len(CHECKS)} checks"
    assert len(lines) == len(CHECKS) + 1


def test_names_are_unique_and_rules_are_there_and_used() -> None:
    names = [check.name for check in CHECKS] + sorted({check.group for check in CHECKS})
    assert len(set(names)) == len(names)
    sources = [path.read_text() for path in HERE.glob("*.py")]
    assert {check.rule for check in CHECKS} <= RULES.keys()
    assert [rule for rule in RULES if not any(f'"{rule}"' in text for text in sources if "RULES = " not in text)] == []


def test_the_page_lists_the_checks_as_they_are() -> None:
    page = (ROOT / "docs" / "conformance.md").read_text()
    begin, end = "<!-- made by scripts/conformance --markdown -->\n", "<!-- end -->\n"
    assert page.partition(begin)[2].partition(end)[0].strip() == as_markdown().strip()


def test_the_run_knows_nothing_of_the_implementation() -> None:
    """Standard library alone, and modules that a reader can take in."""
    for path in HERE.glob("*.py"):
        assert len(path.read_text().splitlines()) <= MAX_LINES, path.name
        if path.name.startswith(("test_", "conftest")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                known = module.split(".")[0] in sys.stdlib_module_names
                assert known or module.startswith("tests.conformance"), f"{path.name} imports {module}"
