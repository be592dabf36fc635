"""The dashboard drawn as one page of HTML, from series that somebody else has asked for. Knows no server."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tests.deploy.dashboard import Panel

UNIT_PX = 27
WIDTH, HEIGHT = 420, 132
LEFT, BOTTOM, TOP = 46, 16, 6
COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#5ac8c8", "#e0b3a0")
NAMED = {"green": "#73bf69", "yellow": "#f2cc0c", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"}
STYLE = f"""
body {{ margin: 0; background: #111217; color: #ccccdc; font: 12px/1.35 "DejaVu Sans", sans-serif; width: 1400px }}
h1 {{ font-size: 17px; font-weight: 500; margin: 12px 14px 6px }}
h1 small {{ color: #8e8e9c; font-size: 12px; margin-left: 10px }}
main {{ display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: {UNIT_PX}px; gap: 6px; padding: 8px }}
h2 {{ font-size: 13px; font-weight: 500; margin: 0; align-self: end }}
section {{ background: #181b1f; border: 1px solid #24272e; border-radius: 3px; padding: 5px 8px; display: flex;
  flex-direction: column; min-width: 0; overflow: hidden }}
h3 {{ font-size: 12px; font-weight: 500; margin: 0 0 2px }}
svg {{ flex: 1; width: 100%; min-height: 0 }}
svg text {{ fill: #8e8e9c; font-size: 9.5px }}
p {{ margin: 2px 0 0; max-height: 32px; overflow: hidden; font-size: 10.5px; color: #9fa0ad }}
p i {{ display: inline-block; width: 10px; height: 3px; margin: 0 4px 3px 0 }}
p span {{ margin-right: 9px; white-space: nowrap }}
b {{ font-size: 27px; font-weight: 500; margin: auto }}
"""


@dataclass(frozen=True)
class Series:
    name: str
    points: list[tuple[float, float]]
    """Second and value; where there was none, no point."""


def page(title: str, remark: str, drawn: Sequence[tuple[Panel, list[Series]]], start: float, end: float) -> str:
    body = "".join(_section(panel, series, start, end) for panel, series in drawn)
    head = f"<meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
    return f"{head}<h1>{html.escape(title)}<small>{html.escape(remark)}</small></h1><main>{body}</main>"


def _section(panel: Panel, series: list[Series], start: float, end: float) -> str:
    place = panel.place
    area = f"grid-area: {place['y'] + 1} / {place['x'] + 1} / span {place['h']} / span {place['w']}"
    title = html.escape(panel.title)
    if panel.kind == "row":
        return f'<h2 style="{area}">{title}</h2>'
    content = _stat(panel, series) if panel.kind == "stat" else _graph(panel, series, start, end)
    return f'<section style="{area}"><h3>{title}</h3>{content}</section>'


def _stat(panel: Panel, series: list[Series]) -> str:
    value = series[0].points[-1][1]
    reached = [step["color"] for step in panel.steps if step["value"] is None or value >= step["value"]]
    return f'<b style="color: {NAMED[reached[-1]]}">{said(value, panel.unit)}</b>'


def _graph(panel: Panel, series: list[Series], start: float, end: float) -> str:
    layers = _stacked(series) if panel.stacked else [(one.points, []) for one in series]
    highest = max((value for top, _ in layers for _, value in top), default=0.0)
    step = _round_step(highest / 3 or 1.0)
    most = step * max(1, math.ceil(highest / step - 1e-9))
    width = WIDTH * panel.place["w"] / 8

    def at(second: float, value: float) -> str:
        x = LEFT + (second - start) / (end - start) * (width - LEFT - 6)
        return f"{x:.1f},{HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP):.1f}"

    colors = [
        NAMED[panel.colors[one.name]] if one.name in panel.colors else COLORS[number % len(COLORS)]
        for number, one in enumerate(series)
    ]
    lines = []
    for number in range(round(most / step) + 1):
        (x, y), (right, _) = (at(second, number * step).split(",") for second in (start, end))
        lines.append(f'<line x1="{x}" x2="{right}" y1="{y}" y2="{y}" stroke="#2a2d34"/>')
        lines.append(
            f'<text x="{LEFT - 5}" y="{float(y) + 3}" text-anchor="end">{said(number * step, panel.unit)}</text>'
        )
    for second in range(0, int(end - start) - 3, 15):
        x = at(start + second, 0).split(",")[0]
        lines.append(f'<text x="{x}" y="{HEIGHT - 3}" text-anchor="middle">{second // 60}:{second % 60:02d}</text>')
    for color, (top, below) in zip(colors, layers, strict=True):
        if panel.stacked and top:
            edge = " ".join([*(at(*point) for point in top), *(at(*point) for point in reversed(below))])
            lines.append(f'<polygon points="{edge}" fill="{color}" opacity="0.25"/>')
        for part in _unbroken(top):
            points = " ".join(at(*point) for point in part)
            lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.3"/>')
    legend = "".join(
        f'<span><i style="background: {color}"></i>{html.escape(one.name)}</span>'
        for color, one in zip(colors, series, strict=True)
    )
    box = f'viewBox="0 0 {width:.0f} {HEIGHT}" preserveAspectRatio="none"'
    return f"<svg {box}>{''.join(lines)}</svg><p>{legend}</p>"


def _stacked(series: list[Series]) -> list[tuple[list[tuple[float, float]], list[tuple[float, float]]]]:
    """For each series its upper edge and the one below it."""
    seconds = sorted({second for one in series for second, _ in one.points})
    below = dict.fromkeys(seconds, 0.0)
    layers = []
    for one in series:
        values = dict(one.points)
        top = {second: below[second] + values.get(second, 0.0) for second in seconds}
        layers.append((list(top.items()), list(below.items())))
        below = top
    return layers


def _unbroken(points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The parts between which nothing was found for more than three seconds."""
    parts: list[list[tuple[float, float]]] = []
    for point in points:
        if parts and point[0] - parts[-1][-1][0] <= 3:
            parts[-1].append(point)
        else:
            parts.append([point])
    return parts


def _round_step(least: float) -> float:
    size = 10.0 ** math.floor(math.log10(least))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= least * 0.999)


def said(value: float, unit: str) -> str:
    """A value with its unit, as short as Grafana says it."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {letter}{'B/s' if unit == 'Bps' else ''}"
    return f"{value:.3g}{' B/s' if unit == 'Bps' else ''}"
