"""What the progress line says: is there a connection, what is being done, for how long, and what it has cost. Pure."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from webedt.cli.width import text_width

SEPARATOR = " · "
NEWS_SECONDS = 5.0


@dataclass
class Progress:
    """Parts of the line, most important first; what does not fit is left out from the end."""

    clock: Callable[[], float] = time.monotonic
    doing: str = "connecting"
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    connected: bool = False
    question: str = ""
    _reconnect_at: float | None = None
    _news: str = ""
    _news_until: float = 0.0
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    def begin_run(self) -> None:
        """The time of a run counts from here."""
        self._since = self.clock()

    def live(self) -> None:
        """Events come in."""
        self.connected = True
        self._reconnect_at = None

    def reconnect_in(self, seconds: float) -> None:
        """The connection is gone and is tried again after so long."""
        self._reconnect_at = self.clock() + seconds

    def tell(self, news: str) -> None:
        """Show this in place of the connection for a moment."""
        self._news, self._news_until = news, self.clock() + NEWS_SECONDS

    def line(self, columns: int) -> str:
        """As many parts as fit, at least the first."""
        if self.question:
            return self.question
        parts = [self._connection(), self.doing, self._elapsed(), self._tokens(), self._cost()]
        shown = ""
        for part in filter(None, parts):
            longer = f"{shown}{SEPARATOR}{part}" if shown else part
            if shown and text_width(longer) > columns:
                break
            shown = longer
        return shown

    def _connection(self) -> str:
        if self._reconnect_at is not None:
            left = self._reconnect_at - self.clock()
            return f"reconnecting in {left:.0f} s" if left >= 0.5 else "reconnecting"
        if self.clock() < self._news_until:
            return self._news
        return "live" if self.connected else ""

    def _elapsed(self) -> str:
        seconds = int(self.clock() - self._since)
        minutes, rest = divmod(seconds, 60)
        return f"{minutes} min {rest} s" if minutes else f"{rest} s" if rest else ""

    def _tokens(self) -> str:
        if not (self.input_tokens or self.output_tokens):
            return ""
        return f"{_short(self.input_tokens)} in, {_short(self.output_tokens)} out"

    def _cost(self) -> str:
        return f"${self.cost_usd:.2f}" if self.cost_usd else ""


def _short(count: int) -> str:
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 1_000_000 else f"{count / 1_000_000:.1f}M"
