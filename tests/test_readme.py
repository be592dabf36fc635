"""The README says what is there: every setting, every metric, every variable, every file it names."""

import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from webedt.config import Settings
from webedt.http.operations import operations_routes
from webedt.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def rows_under(heading: str) -> list[str]:
    """The rows of the first table below a line that begins with `heading`."""
    lines = README[README.index(f"\n{heading}") + 1 :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| --- "))
    return [line for line in lines[start + 1 :][: lines[start + 1 :].index("")] if line.startswith("| ")]


def row_of_setting(item: Field[Any]) -> str:
    match item.default:
        case bool() as switch:
            default = "`on`" if switch else "`off`"
        case "" | ():
            default = ""
        case float() as number:
            default = f"`{number:g}`"
        case other:
            default = f"`{other}`"
    names = ", ".join(f"`{name}`" for name in item.metadata["variables"])
    return f"| {names} | {default} | {item.metadata['doc']} |"


def test_every_setting_stands_in_its_table_as_it_is() -> None:
    assert rows_under("## Configuration") == [row_of_setting(item) for item in fields(Settings)]


def test_every_metric_stands_in_its_table_as_it_is() -> None:
    documented = [re.match(r"\| `(\w+)(?:\{([\w, ]+)\})?` \| (.+) \|$", row) for row in rows_under("**Metrics.**")]
    text = {found[1]: found[3] for found in documented if found}
    families = list(Metrics("test").registry.collect())
    assert text == {
        family.name + ("_total" if family.type == "counter" else ""): family.documentation for family in families
    }


def test_every_variable_of_the_tools_is_mentioned() -> None:
    read = re.compile(r"""environ(?:\.get\(|\[)"([A-Z_]+)""")
    sources = [*(ROOT / "webedt" / "cli").glob("*.py"), *(ROOT / "tests" / "support").glob("*.py")]
    names = {name for source in sources for name in read.findall(source.read_text())} - {"TERM"}
    assert {name for name in names if f"`{name}`" not in README} == set()


def test_every_probe_is_mentioned() -> None:
    unused: Any = None
    routes = operations_routes(unused, unused, unused, unused, unused, "")
    assert routes
    assert [route.path for route in routes if f"| `{route.path}` |" not in README] == []


def test_every_file_that_it_links_or_names_is_there() -> None:
    linked = re.findall(r"\]\(([^)#]+)", README)
    named = re.findall(r"`((?:sql|scripts|docs|webedt)/[\w./-]*)`", README)
    inside = [f"webedt/{name}" for name in re.findall(r"`((?:services|log|bus|http|database|fleet)/\w+\.py)`", README)]
    assert linked
    assert named
    assert inside
    assert [name for name in {*linked, *named, *inside} if not (ROOT / name).exists()] == []


def test_the_map_names_every_part_of_the_package() -> None:
    parts = [path for path in (ROOT / "webedt").iterdir() if path.is_dir() and not path.name.startswith(("_", "."))]
    assert [path.name for path in parts if f"webedt/{path.name}/" not in README] == []
