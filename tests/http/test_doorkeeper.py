"""Connections that never ask for anything are cut; those that were served are not."""

from typing import Any

from webedt.http.doorkeeper import Doorkeeper


class Transport:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Connection:
    def __init__(self) -> None:
        self.transport = Transport()


def test_a_connection_without_a_request_is_cut_after_the_deadline_and_not_before() -> None:
    doorkeeper, silent = Doorkeeper(10.0), Connection()
    assert doorkeeper.look([silent], 100.0) == 0
    assert doorkeeper.look([silent], 110.0) == 0
    assert doorkeeper.look([silent], 110.1) == 1
    assert silent.transport.aborted


def test_a_connection_that_was_served_is_kept_however_long_it_is_quiet() -> None:
    doorkeeper, served = Doorkeeper(10.0), Connection()
    doorkeeper.saw(served)
    connections: list[Any] = [served]
    assert [doorkeeper.look(connections, at) for at in (0.0, 20.0, 4000.0)] == [0, 0, 0]
    assert not served.transport.aborted


def test_what_is_gone_is_forgotten() -> None:
    doorkeeper, gone = Doorkeeper(10.0), Connection()
    doorkeeper.saw(gone)
    doorkeeper.look([], 0.0)
    assert doorkeeper.look([gone], 1.0) == 0
    assert doorkeeper.look([gone], 12.0) == 1, "a new connection is not excused by an old one"
