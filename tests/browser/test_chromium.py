"""Which browser the tests take, and what they do where there is none."""

from pathlib import Path

import pytest

from tests.support.chromium import find_chromium, must_be_there


def program(path: Path, exit_status: int) -> Path:
    path.write_text(f"#!/bin/sh\nexit {exit_status}\n")
    path.chmod(0o755)
    return path


def test_the_browser_that_is_named_is_taken_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "chromium", 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setenv("CHROMIUM", str(program(tmp_path / "mine", 0)))
    assert find_chromium() == str(tmp_path / "mine")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nowhere"))
    assert find_chromium() is None


def test_a_program_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() is None
    program(tmp_path / "chromium", 1)
    assert find_chromium() is None
    program(tmp_path / "google-chrome", 0)
    assert find_chromium() == str(tmp_path / "google-chrome")


@pytest.mark.parametrize(("value", "required"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_who_requires_a_browser_gets_failures(
    value: str | None, required: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUIRE_BROWSER", raising=False)
    if value is not None:
        monkeypatch.setenv("REQUIRE_BROWSER", value)
    assert must_be_there() is required
