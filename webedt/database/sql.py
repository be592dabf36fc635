"""Finds the SQL files and reads them: `sql/` beside the package in a checkout, `webedt/_sql` in a wheel."""

import re
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def sql_folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    installed = package / "_sql"
    return installed if installed.is_dir() else package.parent / "sql"


def query_names() -> Mapping[str, str]:
    """The name of every query by its text."""
    files = sorted((sql_folder() / "queries").glob("*.sql"))
    return {text: name for file in files for name, text in load_queries(file.stem).items()}


def load_queries(name: str) -> Mapping[str, str]:
    """The queries of `sql/queries/<name>.sql` by name. Each begins with a line `-- name: verb_noun`."""
    text = (sql_folder() / "queries" / f"{name}.sql").read_text()
    parts = _NAME.split(text)[1:]
    queries = {key: body.strip() for key, body in zip(parts[::2], parts[1::2], strict=True)}
    if len(queries) != len(parts) // 2:
        raise ValueError(f"{name}.sql names a query twice")
    return queries
