"""The figures of a fleet as lines for a screen of any size. Pure."""

from collections.abc import Callable, Sequence

from webedt.cli.safe_text import one_line
from webedt.cli.styles import BAD, BOLD, DIM, GOOD, styled
from webedt.cli.top_figures import FleetFigures, ReplicaFigures
from webedt.cli.width import cut, pad, text_width

GAP = "  "
STALE_SECONDS = 15.0

Cell = Callable[[ReplicaFigures], str]
# Most important first: what does not fit on the screen is left out from the right.
COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("REPLICA", lambda row: one_line(row.container or "?") + ("*" if row.leader else "")),
    ("STATE", lambda row: state_of(row)),
    ("BEAT", lambda row: seconds(row.heartbeat_age)),
    ("RUNS", lambda row: count(row.active_runs)),
    ("EV/S", lambda row: per_second(row.events_per_second)),
    ("STREAMS", lambda row: count(row.streams)),
    ("POOL", lambda row: "-" if row.pool_max is None else f"{count(row.pool_in_use)}/{row.pool_max}"),
    ("WAIT", lambda row: count(row.pool_waiting)),
    ("C.P50", lambda row: seconds(row.commit_p50)),
    ("C.P99", lambda row: seconds(row.commit_p99)),
    ("D.P99", lambda row: seconds(row.delivery_p99)),
    ("TAKEN", lambda row: count(row.takeovers)),
    ("URL", lambda row: one_line(row.url or "-")),
)


def view(figures: FleetFigures, columns: int, lines: int, *, colours: bool) -> list[str]:
    """The screen, at most `lines` lines of at most `columns` columns."""
    shown = [*_summary(figures, columns, colours=colours), "", *table(figures.replicas, columns, colours=colours)]
    footer = _footer(columns, colours=colours)
    room = max(0, lines - len(footer))
    if len(shown) > room:
        shown = [*shown[: max(0, room - 1)], cut("… more replicas than lines", columns)][:room]
    return [*shown, *[""] * (room - len(shown)), *footer][:lines]


def table(replicas: Sequence[ReplicaFigures], columns: int, *, colours: bool) -> list[str]:
    """One line a replica, with as many columns as fit."""
    cells = [[head, *(cell(row) for row in replicas)] for head, cell in COLUMNS]
    widths = [max(map(text_width, column)) for column in cells]
    fitting = 1
    while fitting < len(cells) and sum(widths[: fitting + 1]) + len(GAP) * fitting <= columns:
        fitting += 1
    lines = []
    for number in range(len(replicas) + 1):
        text = GAP.join(pad(cells[column][number], widths[column]) for column in range(fitting)).rstrip()
        lines.append(_coloured(cut(text, columns), DIM if number == 0 else _style_of(replicas[number - 1]), colours))
    return lines


def state_of(row: ReplicaFigures) -> str:
    """One word."""
    if row.fault:
        return "silent"
    if row.draining:
        return "draining"
    if row.heartbeat_age is not None and row.heartbeat_age > STALE_SECONDS:
        return "stale"
    return one_line(row.status or "beats")


def seconds(value: float | None) -> str:
    """`850us`, `12ms`, `3.4s`."""
    if value is None:
        return "-"
    if value == float("inf"):
        return ">10s"
    if value < 0.001:
        return f"{value * 1_000_000:.0f}us"
    return f"{value * 1000:.3g}ms" if value < 1 else f"{value:.1f}s" if value < 100 else f"{value:.0f}s"


def per_second(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _summary(figures: FleetFigures, columns: int, *, colours: bool) -> list[str]:
    rows = figures.replicas
    total = sum(row.events_per_second or 0 for row in rows)
    heading = f"webedt top  {len(rows)} replicas, {figures.healthy} healthy"
    facts = (
        f"{count(figures.active_runs)} running, {count(figures.queued_runs)} queued"
        f"{GAP}{per_second(total)} events/s{GAP}{sum(row.streams or 0 for row in rows)} streams"
    )
    faults = [f"{one_line(row.url or '')}: {one_line(row.fault)}" for row in rows if row.fault]
    return [
        _coloured(cut(heading, columns), BOLD, colours),
        cut(facts, columns),
        *(_coloured(cut(fault, columns), BAD, colours) for fault in faults),
    ]


def _footer(columns: int, *, colours: bool) -> list[str]:
    words = "* leads cleanup · C commit · D delivery, of the last 10 s · q quits"
    return [_coloured(cut(words, columns), DIM, colours)]


def _style_of(row: ReplicaFigures) -> int:
    state = state_of(row)
    return BAD if state in {"silent", "stale", "unhealthy"} else GOOD if state == "healthy" else 0


def _coloured(text: str, style: int, colours: bool) -> str:
    return styled(style, text) if colours and style else text
