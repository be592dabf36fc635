"""How a command ends early, and with which status."""

COMPLETED = 0
FAILURE = 1
USAGE = 2
REFUSED = 3
NOT_LOGGED_IN = 4
UNREACHABLE = 5
INTERRUPTED = 130
OUTPUT_CLOSED = 141
TERMINATED = 143

MEANINGS = {
    COMPLETED: "done; of a run: it completed",
    FAILURE: "the run failed, or the command did",
    USAGE: "wrong usage, or a fault in the configuration",
    REFUSED: "the server refused: not found, busy, not valid, too many requests",
    NOT_LOGGED_IN: "not logged in, or the login has ended",
    UNREACHABLE: "the server cannot be reached, or is not ready",
    INTERRUPTED: "the run was interrupted, or was left with Ctrl-C and goes on",
    OUTPUT_CLOSED: "whoever read the output left first, as `head` does",
    TERMINATED: "ended by SIGTERM; a run goes on",
}


class CommandError(Exception):
    """A mistake or a mishap that one line explains; the line says what to do next. Shown without a stack trace."""

    def __init__(self, message: str, *, exit_status: int = FAILURE) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class OutputClosed(Exception):
    """Whoever read our output has left (`webedt … | head`). Not worth a word."""
