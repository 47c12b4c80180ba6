"""Each operation against the size of the channel, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

from benchmarks.cases import TYPICAL_LATENCY_MS, Sample
from benchmarks.results import Measured, Results

_WIDTH, _HEIGHT = 720, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 75, 545, 45, 370
"""Of the area in which lines are drawn; their labels stand to the right of it."""
_LABELS_APART = 16
_INK, _DARK, _PALE = "#4b5563", "#111827", "#e5e7eb"
_LINES = {
    "rattler-index": ("#c2410c", ""),
    "rattler-index --force": ("#c2410c", ""),
    "conda-index, on files": ("#047857", ""),
    "sluice, cold": ("#2563eb", ""),
    "sluice, warm": ("#60a5fa", ' stroke-dasharray="6 4"'),
}
"""Colour and style of each subject's line."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is drawn."""

    name: str
    title: str
    unit: str
    value: Callable[[Sample], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """An operation that is drawn over the size of a channel, a picture for each quantity."""

    operation: str
    doing: str
    """As a title has it."""
    latency_ms: float = TYPICAL_LATENCY_MS

    def measured(self, results: Results) -> list[Measured]:
        """What is drawn of all that was measured."""
        cases = results.of(self.operation)
        return [one for one in cases if one.case.latency_ms == self.latency_ms]

    def file(self, quantity: Quantity) -> str:
        """Name of a picture."""
        return f"{self.operation}-{quantity.name}.svg"


FIGURES = (
    Figures("upload", "Indexing one upload"),
    Figures("overwrite", "Indexing one package that was overwritten"),
    Figures("removal", "Indexing one removal"),
    Figures("patch", "Putting a new patch in force"),
    Figures("burst", "Indexing a thousand uploads at once", latency_ms=0.0),
    Figures("import", "Indexing a bucket for the first time", latency_ms=0.0),
    Figures("take-over", "Taking over another tool's index", latency_ms=0.0),
    Figures("reconcile", "Finding that nothing is to be done"),
)
QUANTITIES = (
    Quantity("wall", "wall time", "seconds", lambda sample: sample.wall_s),
    Quantity("requests", "requests to S3", "requests", lambda sample: sample.s3.requests),
    Quantity("memory", "peak memory of the largest process", "MiB", lambda sample: sample.peak_mib),
)


def draw(results: Results, folder: Path) -> Iterator[Path]:
    """Draw every quantity of every operation that was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for figures in FIGURES:
        measured = figures.measured(results)
        for quantity in QUANTITIES if measured else ():
            path = folder / figures.file(quantity)
            path.write_text(picture(figures, quantity, measured))
            yield path


def picture(figures: Figures, quantity: Quantity, measured: Sequence[Measured]) -> str:
    """Medians as lines, least to most as bars; both axes are logarithmic."""
    lines: dict[str, dict[int, list[float]]] = {who: {} for who in _LINES}
    for one in sorted(measured, key=lambda one: one.case.packages):
        samples = [quantity.value(sample) for sample in one.samples]
        if all(samples):  # what does no requests has no place on a logarithmic axis
            lines[one.case.who][one.case.packages] = samples
    values = [value for points in lines.values() for of in points.values() for value in of]
    sizes = sorted({one.case.packages for one in measured})
    x = _scale(sizes[0], sizes[-1], _LEFT + 20, _RIGHT - 20)
    y = _scale(min(values) / 1.25, max(values) * 1.25, _BOTTOM, _TOP)
    packages = f"packages in the subdir; {figures.latency_ms:g} ms added to each request"
    shapes = [
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 25, f"{figures.doing}: {quantity.title}", _DARK, 'font-size="15"'),
        _text((_LEFT + _RIGHT) / 2, _HEIGHT - 15, packages, _INK, 'text-anchor="middle"'),
        _text(_LEFT, _TOP - 5, quantity.unit, _INK, 'text-anchor="end"'),
        f'<path d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}" fill="none" stroke="#9ca3af"/>',
    ]
    for tick in _ticks(min(values) / 1.25, max(values) * 1.25):
        shapes.append(f'<path d="M{_LEFT} {y(tick):.1f}H{_RIGHT}" stroke="{_PALE}"/>')
        shapes.append(_text(_LEFT - 8, y(tick) + 4, f"{tick:,g}", _INK, 'text-anchor="end"'))
    for size in sizes:
        shapes.append(f'<path d="M{x(size):.1f} {_BOTTOM}v4" stroke="#9ca3af"/>')
        shapes.append(_text(x(size), _BOTTOM + 19, f"{size:,}", _INK, 'text-anchor="middle"'))
    ends = []
    for who, points in lines.items():
        if points:
            places = [(x(size), y(median(of))) for size, of in points.items()]
            path = "L".join(f"{across:.1f} {down:.1f}" for across, down in places)
            colour, style = _LINES[who]
            shapes.append(f'<path d="M{path}" fill="none" stroke="{colour}"{style}/>')
            for (across, down), of in zip(places, points.values(), strict=True):
                bar = f"M{across:.1f} {y(min(of)):.1f}V{y(max(of)):.1f}"
                shapes.append(f'<path d="{bar}" stroke="{colour}" stroke-width="1"/>')
                shapes.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>')
            ends.append((places[-1][1], who, colour))
    below = float(_HEIGHT)
    for down, who, colour in sorted(ends, reverse=True):
        below = min(down, below - _LABELS_APART)  # names that would overlap are moved apart
        shapes.append(_text(_RIGHT + 8, below + 4, who, colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="13" stroke-width="1.8">\n'
        + "".join(f"{shape}\n" for shape in shapes)
        + "</svg>\n"
    )


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """From numbers to places, by their logarithms."""
    length = log10(high / low) or 1
    return lambda value: first + (last - first) * log10(value / low) / length


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each decade, or equal steps within one."""
    steps = [n * 10.0**exponent for exponent in range(-6, 9) for n in (1, 2, 5)]
    if high / low < 10:
        step = next(step for step in steps if step >= (high - low) / 6)
        steps = [n * step for n in range(1, ceil(high / step))]
    return [tick for tick in steps if low <= tick <= high]


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    more = f" {more}" if more else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" stroke="none"{more}>{escape(text)}</text>'
    )
