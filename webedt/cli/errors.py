"""How a command ends early."""

USAGE = 2
FAILURE = 1
INTERRUPTED = 130


class CommandError(Exception):
    """A mistake or a mishap that one line explains; the line says what to do next. Shown without a stack trace."""

    def __init__(self, message: str, *, exit_status: int = FAILURE) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class OutputClosed(Exception):
    """Whoever read our output has left (`webedt … | head`). Not worth a word."""
