"""Each operation against the size of the channel, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.cases import Sample
from benchmarks.results import Measured, Results
from benchmarks.stage import TYPICAL_LATENCY_MS

_INK, _PALE = "#4b5563", "#e5e7eb"
_LINES = {
    "rattler-index": ("#c2410c", "-"),
    "rattler-index --force": ("#c2410c", "-"),
    "conda-index, on files": ("#047857", "-"),
    "sluice, cold": ("#2563eb", "-"),
    "sluice, warm": ("#60a5fa", "--"),
}
"""Colour and style of each subject's line."""
_LABELS_APART = 0.055
"""Of the height of the picture."""
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}}


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
        """Name of a picture, without suffix."""
        return f"{self.operation}-{quantity.name}"


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is drawn."""

    name: str
    title: str
    unit: str
    value: Callable[[Sample], float]


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
    """Draw every quantity of every operation that was measured, each as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    # The salt: the same picture is to be the same file.
    with mpl.rc_context({"font.size": 10, "svg.hashsalt": "sluice"}):
        for figures in FIGURES:
            measured = figures.measured(results)
            for quantity in QUANTITIES if measured else ():
                figure = _figure(figures, quantity, measured)
                for suffix, metadata in _METADATA.items():
                    path = folder / f"{figures.file(quantity)}.{suffix}"
                    figure.savefig(path, dpi=160, metadata=metadata)
                    yield path


def _figure(figures: Figures, quantity: Quantity, measured: Sequence[Measured]) -> Figure:
    figure = Figure(figsize=(7.2, 4.3), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log")
    ends: list[tuple[float, float, str, str]] = []
    for who, (colour, style) in _LINES.items():
        points = sorted(
            (one.case.packages, values)
            for one in measured
            if one.case.who == who
            # Something that does no requests has no place on a logarithmic axis.
            and all(values := [quantity.value(sample) for sample in one.samples])
        )
        if not points:
            continue
        sizes = [size for size, _ in points]
        middles = [median(values) for _, values in points]
        axes.plot(sizes, middles, style, color=colour, linewidth=1.8, marker="o", markersize=4)
        axes.vlines(
            sizes,
            [min(values) for _, values in points],
            [max(values) for _, values in points],
            color=colour,
            linewidth=1,
        )
        ends.append((sizes[-1], middles[-1], who, colour))
    _furnish(axes, figures, quantity, sorted({one.case.packages for one in measured}))
    _label(axes, ends)
    return figure


def _furnish(axes: Axes, figures: Figures, quantity: Quantity, sizes: Sequence[int]) -> None:
    title = f"{figures.doing}: {quantity.title}"
    axes.set_title(title, loc="left", fontsize=11, color="#111827", pad=10)
    axes.set_xlabel(
        f"packages in the subdir; {figures.latency_ms:g} ms added to each request", color=_INK
    )
    axes.set_ylabel(quantity.unit, color=_INK)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9ca3af")
    axes.tick_params(which="both", colors=_INK, length=3)
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.15, high * 1.15)


def _label(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name each line at its right end; names that would overlap are moved apart."""
    to_height = axes.transAxes.inverted()
    at = -1.0
    for x, y, label, colour in sorted(ends, key=lambda end: end[1]):
        height = float(to_height.transform(axes.transData.transform((x, y)))[1])
        at = max(height, at + _LABELS_APART)
        axes.annotate(
            label,
            (x, y),
            xytext=(1.015, at),
            textcoords="axes fraction",
            color=colour,
            va="center",
            annotation_clip=False,
        )
