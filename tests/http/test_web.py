"""The web page: how it names its parts, what of them may be kept, and that nothing else is said of the folder."""

import re
from pathlib import Path

from tests.http.client import Running
from webedt.http.web_page import modules_of, page_of, version_of

WEB = Path(__file__).parents[2] / "webedt" / "web"
PAGE = b'<head>\n  <link href="/assets/a.css">\n  <script type="module" src="/assets/app.js"></script>\n</head>'


def test_every_module_of_the_first_view_is_named_and_no_other() -> None:
    files = {
        "app.js": b"import { x } from './one.js';\nconst y = 'import z from \"./no.js\"';\nimport('./lazy.js');",
        "one.js": b"import {\n  a,\n  b,\n} from './two.js';\nexport { c } from './three.js';\nimport './app.js';",
        "two.js": b"import './missing.js';\nexport const s = 'x';\nconsole.log(' from ', './no.js');",
        "three.js": b"", "no.js": b"", "lazy.js": b"", "workspace.js": b"import './two.js';",
    }  # fmt: skip
    found = list(modules_of(files, ("app.js", "workspace.js")))
    assert sorted(found) == ["app.js", "one.js", "three.js", "two.js", "workspace.js"]
    page = page_of({**files, "index.html": PAGE}, "v1").decode()
    assert re.findall(r'(?:href|src)="([^"]+)"', page) == [
        "/assets/v1/a.css", *(f"/assets/v1/{name}" for name in found), "/assets/v1/app.js",
    ]  # fmt: skip


def test_a_version_changes_with_every_file_and_name() -> None:
    files = {"a.js": b"1", "b.js": b"2"}
    others = [{**files, "a.js": b"3"}, {"a.js": b"1"}, {"a.js": b"1", "c.js": b"2"}, {**files, "c.js": b""}]
    assert len({version_of(one) for one in (files, *others)}) == 5
    assert version_of(dict(reversed(files.items()))) == version_of(files)


async def test_the_page_names_parts_that_are_there_and_may_be_kept_for_good(app: Running) -> None:
    page = await app.nobody.get("/")
    assert (page.status, page.head["Cache-Control"]) == (200, "no-cache")
    named = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.body.decode())
    assert len(named) > 40
    for path in named:
        answer = await app.nobody.get(path)
        assert answer.status == 200, path
        assert answer.head["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.body == (WEB / path.rpartition("/")[2]).read_bytes()
        assert "Content-Security-Policy" not in answer.head  # the page's is over all that it loads
    assert "script-src 'self'" in page.head["Content-Security-Policy"]


async def test_what_another_version_names_is_given_and_not_kept(app: Running) -> None:
    for path in ("/assets/app.js", "/assets/0123456789abcdef/app.js"):
        answer = await app.nobody.get(path)
        assert (answer.status, answer.head["Cache-Control"]) == (200, "no-cache")
        again = await app.nobody.get(path, If_None_Match=answer.head["ETag"])
        assert (again.status, again.body) == (304, b"")


async def test_nothing_outside_the_folder_and_nothing_of_another_type_is_given(app: Running) -> None:
    for path in (
        "/assets/x/package.json",
        "/assets/package.json",
        "/assets/..%2fconfig.py",
        "/assets/a/..%2f..%2fconfig.py",
    ):
        assert (await app.nobody.get(path)).status == 404, path
