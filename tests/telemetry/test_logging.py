"""Log lines: the container on each, one kind for our own and the libraries', and nothing that must not be seen."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from webedt.telemetry.logging import bind_request, configure_logging


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_line_carries_the_container_and_that_of_a_request_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "replica-7", json=True)
    with bind_request(request_id="abc"):
        structlog.get_logger(component="x").info("something_happened", seconds=3)
    structlog.get_logger().info("something_else")
    first, second = lines(capsys)
    assert (first["container"], first["request_id"], first["event"], first["seconds"]) == (
        "replica-7",
        "abc",
        "something_happened",
        3,
    )
    assert second["container"] == "replica-7"
    assert "request_id" not in second


def test_a_library_says_its_piece_as_a_line_of_the_same_kind(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "replica-7", json=True)
    logging.getLogger("some.library").warning("went %s", "wrong")
    [line] = lines(capsys)
    assert (line["event"], line["container"], line["logger"]) == ("went wrong", "replica-7", "some.library")


def test_what_is_not_even_http_is_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "replica-7", json=True)
    try:
        raise BadHttpMessage("Invalid header, of any length a stranger likes")
    except BadHttpMessage:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    [line] = lines(capsys)
    assert (line["event"], line["level"]) == ("request_unreadable", "warning")
    assert "exception" not in line
    assert "stranger" not in str(line)


def test_configured_twice_a_line_comes_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "a", json=True)
    configure_logging("info", "b", json=True)
    logging.getLogger("some.library").warning("once")
    [line] = lines(capsys)
    assert line["container"] == "b"


@pytest.mark.parametrize("as_json", [True, False])
def test_neither_secret_fields_nor_local_variables_are_shown(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    configure_logging("info", "a", json=as_json)
    secret = "hunter" + "2" * 8

    def fail(secret_of_a_user: str) -> None:
        raise RuntimeError("broken")

    try:
        fail(secret)
    except RuntimeError as error:
        structlog.get_logger().error("failed", exc_info=error, token=secret, password=secret)
    shown = capsys.readouterr().err
    assert "broken" in shown
    assert "hunter2" not in shown


def test_what_is_below_the_level_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "a", json=True)
    structlog.get_logger().info("too_quiet")
    structlog.get_logger().warning("loud_enough")
    assert [line["event"] for line in lines(capsys)] == ["loud_enough"]
