"""A widget that shows metrics over time.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import floor, log10

from local.dashboard.definition import Widget
from local.dashboard.sample import FIRST_HOUR, POINTS, POINTS_PER_HOUR, Series, series
from local.dashboard.svg import COLOURS, GREY, RED, box, number, path, words

_LEFT, _TOP, _RIGHT = 52, 40, 14
_BELOW = 24
"""For the hours."""
_LEGEND_LINE = 17
_CHAR = 6.2
"""Width of a small character, nearly."""
_TICKS_MAX = 4
_HOURS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a value of a period lies."""

    right: float
    bottom: float
    step: float
    """From one tick to the next, in the metric's unit."""
    ticks: int

    def x(self, point: int) -> float:
        return _LEFT + (self.right - _LEFT) * point / (POINTS - 1)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - _TOP) * value / (self.ticks * self.step)


def graph(widget: Widget, width: int, height: int) -> Iterator[str]:
    """Everything below the widget's title."""
    metrics = widget.metrics
    lines = [series(metric.name, metric.of, metric.stat) for metric in metrics]
    levels = widget.properties.get("annotations", {}).get("horizontal", [])
    labels = _legend([metric.label for metric in metrics], width)
    legend_top = height - _LEGEND_LINE * (1 + labels[-1][0]) - 2
    most = max(
        *(value for line in lines for value in line if value is not None),
        *(level["value"] for level in levels),
        1,  # nothing but zeros still has a scale
    )
    step = _tick(most / _TICKS_MAX)
    scale = _Scale(width - _RIGHT, legend_top - _BELOW, step, -int(-most // step))
    yield from _axes(scale)
    for line, colour in zip(lines, COLOURS, strict=False):
        yield from _line(line, colour, scale)
    for level in levels:
        y = scale.y(level["value"])
        yield path(f"M{_LEFT} {number(y)}H{number(scale.right)}", RED, dashed=True)
        yield words(scale.right, y + 13, level["label"], fill=RED, anchor="end")
    for (row, x, label), colour in zip(labels, COLOURS, strict=False):
        y = legend_top + row * _LEGEND_LINE
        yield box(x, y, 10, 10, colour)
        yield words(x + 15, y + 9, label)


def _axes(scale: _Scale) -> Iterator[str]:
    for tick in range(scale.ticks + 1):
        y = scale.y(tick * scale.step)
        yield path(f"M{_LEFT} {number(y)}H{number(scale.right)}", "#eaeded")
        yield words(_LEFT - 6, y + 4, f"{tick * scale.step:,g}", fill=GREY, anchor="end")
    for hour in range(_HOURS_SHOWN, POINTS // POINTS_PER_HOUR, _HOURS_SHOWN):
        shown = f"{(FIRST_HOUR + hour) % 24:02}:00"
        x = scale.x(hour * POINTS_PER_HOUR)
        yield words(x, scale.bottom + 15, shown, fill=GREY, anchor="middle")


def _line(line: Series, colour: str, scale: _Scale) -> Iterator[str]:
    """Neighbours are joined; a value without any is a dot."""
    for present, run in groupby(enumerate(line), lambda one: one[1] is not None):
        if not present:
            continue
        spots = [(scale.x(point), scale.y(value or 0)) for point, value in run]
        if len(spots) == 1:
            x, y = spots[0]
            yield f'<circle cx="{number(x)}" cy="{number(y)}" r="1.8" fill="{colour}"/>'
        else:
            yield path(
                "M" + "L".join(f"{number(x)} {number(y)}" for x, y in spots), colour, width=1.5
            )


def _legend(labels: list[str], width: int) -> list[tuple[int, float, str]]:
    """Line, x and text of each label."""
    placed: list[tuple[int, float, str]] = []
    row, x = 0, 12.0
    for label in labels:
        needed = 15 + _CHAR * len(label) + 14
        if x + needed > width and x > 12:
            row, x = row + 1, 12.0
        placed.append((row, x, label))
        x += needed
    return placed


def _tick(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, ...: what people count in."""
    power: float = 10 ** floor(log10(least))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least))
