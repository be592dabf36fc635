"""What must hold of the Dockerfile, whoever changes it. `scripts/image` executes it; this only reads."""

import re
from dataclasses import fields
from pathlib import Path

from tests.deploy.dockerfile import copied_from_context, read_dockerfile, read_dockerignore
from webedt.config import Settings

ROOT = Path(__file__).parents[2]
STAGES = read_dockerfile((ROOT / "Dockerfile").read_text())
IMAGE = STAGES[-1]
IGNORED = read_dockerignore((ROOT / ".dockerignore").read_text())
VARIABLES = {name for item in fields(Settings) for name in item.metadata["variables"]}


def test_every_source_is_there_and_in_the_context() -> None:
    sources = copied_from_context(STAGES)
    assert len(sources) > 5
    assert [name for name in sources if not (ROOT / name).exists() or IGNORED(Path(name))] == []


def test_the_context_has_nothing_but_the_sources() -> None:
    sources = set(copied_from_context(STAGES))
    assert {path.name for path in ROOT.iterdir() if not IGNORED(Path(path.name))} == sources
    for name in (".git", ".venv", ".env", "tests/conftest.py", "webedt/.env", "webedt/http/__pycache__/web.pyc"):
        assert IGNORED(Path(name)), name
    packaged = [path.relative_to(ROOT) for path in (ROOT / "webedt" / "web").rglob("*") if path.is_file()]
    assert packaged
    assert not any(map(IGNORED, packaged))


def test_everything_that_is_installed_is_locked_with_hashes_or_ours() -> None:
    installs = [
        command
        for stage in STAGES
        for step in stage.all("RUN")
        for command in step.text.split("&&")
        if re.search(r"\bpip\b.* (?:install|wheel)\b", command)
    ]
    assert len(installs) == 4
    for command in installs:
        assert "--no-deps" in command or re.search(r"--require-hashes .*-r requirements", command), command
    for lock in ("requirements.lock", "requirements-build.lock"):
        pinned = re.findall(r"^[\w.-]+==.*", (ROOT / lock).read_text().replace("\\\n", " "), re.MULTILINE)
        assert pinned
        assert [item[:60] for item in pinned if "--hash=sha256:" not in item] == []


def test_it_runs_as_a_user_without_rights_and_never_through_a_shell() -> None:
    user = IMAGE.last("USER").text
    assert user.isdigit()  # a name could not be checked by `runAsNonRoot`
    assert int(user) >= 10000
    after = IMAGE.steps[IMAGE.steps.index(IMAGE.last("USER")) :]
    assert [step.instruction for step in after if step.instruction in ("RUN", "COPY", "USER")] == ["USER"]
    assert IMAGE.last("ENTRYPOINT").is_exec_form
    assert IMAGE.last("CMD").is_exec_form
    assert IMAGE.last("ENTRYPOINT").words == ["tini", "-s", "--", "webedt"]
    assert IMAGE.last("CMD").words == ["serve"]
    assert IMAGE.last("HEALTHCHECK").text.startswith("CMD [")
    assert "'/live'" in IMAGE.last("HEALTHCHECK").text.replace(" + ", "")


def test_what_it_sets_are_settings_and_the_build_arguments_reach_them() -> None:
    values = {name: value for step in IMAGE.all("ENV") for name, value in step.assignments.items()}
    assert {name for name in values if not name.startswith("PYTHON") and name != "PATH"} <= VARIABLES
    assert values["WEBEDT_ENV"] == "production"
    assert values["PORT"] == IMAGE.last("EXPOSE").text == str(Settings().port)
    arguments = {name for step in IMAGE.all("ARG") for name in step.assignments}
    assert arguments == {"BUILD_COMMIT_SHA", "BUILD_TIMESTAMP", "BUILD_VERSION"}
    assert all(values[name] == f"${name}" for name in arguments)


def test_both_stages_begin_with_the_same_pinned_python() -> None:
    assert {stage.base for stage in STAGES} == {"python:3.13-slim-trixie"}
