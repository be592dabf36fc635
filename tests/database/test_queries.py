"""Every query in `sql/queries` is valid on the migrated schema, has one name, and is asked by somebody."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import webedt
from webedt.database.sql import load_queries, sql_folder

FILES = sorted(path.stem for path in (sql_folder() / "queries").glob("*.sql"))
QUERIES = {(file, name): text for file in FILES for name, text in load_queries(file).items()}
PACKAGE = Path(webedt.__file__).parent


async def test_every_query_prepares_on_the_migrated_schema(database_url: str) -> None:
    assert QUERIES
    connection = await asyncpg.connect(database_url)
    faults = []
    for (file, name), text in QUERIES.items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            faults.append(f"{file}.{name}: {error}")
    await connection.close()
    assert faults == []


def test_no_name_stands_twice() -> None:
    assert [name for name, count in Counter(name for _, name in QUERIES).items() if count > 1] == []


def test_every_statement_stands_under_a_name() -> None:
    for file in FILES:
        text = (sql_folder() / "queries" / f"{file}.sql").read_text()
        before_the_first = text.split("-- name: ")[0]
        assert re.sub(r"^--.*$", "", before_the_first, flags=re.MULTILINE).strip() == "", file


def test_a_name_that_stands_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "double.sql").write_text("-- name: ask\nSELECT 1;\n-- name: ask\nSELECT 2;\n")
    monkeypatch.setattr("webedt.database.sql.sql_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="twice"):
        load_queries("double")


def test_every_name_is_used() -> None:
    used = {name for module in modules() for name in subscripts(module)}
    assert sorted(name for _, name in QUERIES if name not in used) == []


def test_whoever_loads_a_file_asks_only_for_what_is_in_it() -> None:
    asked = [(module, file, name) for module in modules() for file, name in asked_of_files(module)]
    assert asked
    assert [(str(module), file, name) for module, file, name in asked if (file, name) not in QUERIES] == []


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def subscripts(module: Path) -> Iterator[str]:
    """Every constant string in `…["name"]`."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Subscript(slice=ast.Constant(value=str(name))):
                yield name


def asked_of_files(module: Path) -> Iterator[tuple[str, str]]:
    """`("runs", "find_run")` for `self._sql["find_run"]` after `self._sql = load_queries("runs")`, class by class."""
    for class_ in (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ClassDef)):
        files: dict[str, str] = {}
        for node in ast.walk(class_):
            match node:
                case ast.Assign(
                    targets=[ast.Attribute(attr=attribute)],
                    value=ast.Call(func=ast.Name(id="load_queries"), args=[ast.Constant(value=str(file))]),
                ):
                    files[attribute] = file
        for node in ast.walk(class_):
            match node:
                case ast.Subscript(value=ast.Attribute(attr=attribute), slice=ast.Constant(value=str(name))) if (
                    attribute in files
                ):
                    yield files[attribute], name
