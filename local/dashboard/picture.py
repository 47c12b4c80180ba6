"""The dashboard as a picture, much as CloudWatch lays it out.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from local.dashboard.definition import REGION, STACK, Alarm, Widget
from local.dashboard.graph import graph
from local.dashboard.sample import series
from local.dashboard.svg import COLOURS, GREEN, GREY, RED, box, words

NOTE = "Rendered from the template's definition on sample data: no screenshot, no measurement"
_COLUMN, _ROW = 50, 40
"""Pixels of one cell of the grid."""
_COLUMNS = 24
_GAP = 5
_HEAD = 58
_STATE_HEIGHT = 32


def render(widgets: list[Widget], alarms: Mapping[str, Alarm]) -> str:
    """Draw all widgets; the text of an SVG."""
    rows = max(one.y + one.height for one in widgets)
    width, height = _COLUMNS * _COLUMN, _HEAD + rows * _ROW + _GAP
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            "font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\" "
            f'role="img" aria-label="The dashboard. {NOTE}">'
        ),
        box(0, 0, width, height, "#f2f3f3"),
        words(12, 26, f"CloudWatch dashboard {STACK}-{REGION}", size=17, bold=True),
        words(12, 47, NOTE, size=13, fill=RED),
    ]
    for widget in widgets:
        parts += _framed(widget, alarms)
    return "\n".join([*parts, "</svg>", ""])


def _framed(widget: Widget, alarms: Mapping[str, Alarm]) -> Iterator[str]:
    left, top = widget.x * _COLUMN + _GAP, _HEAD + widget.y * _ROW + _GAP
    width, height = widget.width * _COLUMN - 2 * _GAP, widget.height * _ROW - 2 * _GAP
    yield f'<g transform="translate({left} {top})">'
    match widget.kind, widget.properties.get("view"):
        case "text", _:
            text = re.sub(r"[*#]+", "", widget.properties["markdown"])
            yield words(8, 20, text.strip(), size=14)
        case "alarm", _:
            yield from _frame(widget, width, height)
            yield from _states([alarms[name] for name in widget.properties["alarms"]], width)
        case "metric", "timeSeries":
            yield from _frame(widget, width, height)
            yield from graph(widget, width, height)
        case "metric", "singleValue":
            yield from _frame(widget, width, height)
            yield from _numbers(widget, width)
        case kind:
            raise ValueError(f"no picture of {kind}")
    yield "</g>"


def _frame(widget: Widget, width: int, height: int) -> Iterator[str]:
    yield f'<rect width="{width}" height="{height}" rx="2" fill="#fff" stroke="#d5dbdb"/>'
    yield words(10, 21, widget.properties["title"], size=13, bold=True)


def _states(alarms: list[Alarm], width: int) -> Iterator[str]:
    columns = (len(alarms) + 1) // 2
    step = (width - 20) / columns
    for place, alarm in enumerate(alarms):
        row, column = divmod(place, columns)
        x, y = 10 + column * step, 32 + row * (_STATE_HEIGHT + 5)
        latest = series(alarm.metric.name, alarm.metric.of, alarm.metric.stat)[-1]
        state, colour = ("In alarm", RED) if (latest or 0) > alarm.threshold else ("OK", GREEN)
        yield box(x, y, step - 8, _STATE_HEIGHT, "#f7f8f8")
        yield box(x, y, 4, _STATE_HEIGHT, colour)
        yield words(x + 14, y + 14, alarm.name, size=12)
        yield words(x + 14, y + 27, state, fill=colour, bold=True)


def _numbers(widget: Widget, width: int) -> Iterator[str]:
    metrics = widget.metrics
    step = (width - 20) / len(metrics)
    for place, (metric, colour) in enumerate(zip(metrics, COLOURS, strict=False)):
        x = 10 + place * step
        found = [value for value in series(metric.name, metric.of, metric.stat) if value]
        shown = sum(found) if metric.stat == "Sum" else max(found, default=0)
        yield box(x, 40, 10, 10, colour)
        yield words(x + 16, 49, metric.label, fill=GREY)
        yield words(x, 84, f"{shown:,.0f}", size=28)
