"""One upload against the size of the channel, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.cases import Case, Sample
from benchmarks.results import Measured, Results
from benchmarks.stage import TYPICAL_LATENCY_MS
from benchmarks.subjects import SLUICE
from benchmarks.worker import RATTLER_INDEX

_INK, _PALE = "#4b5563", "#e5e7eb"
_LINES = {
    (RATTLER_INDEX, "cold"): ("rattler-index", "#c2410c", "-"),
    (SLUICE, "cold"): ("sluice, cold", "#2563eb", "-"),
    (SLUICE, "warm"): ("sluice, warm", "#60a5fa", "--"),
}
_LABELS_APART = 0.055
"""Of the height of the picture."""
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}}


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn over the size of a channel."""

    name: str
    title: str
    unit: str
    value: Callable[[Sample], float]
    temperatures: Sequence[str]


PLOTS = (
    Plot(
        "upload-wall",
        "Indexing one upload: wall time",
        "seconds",
        lambda sample: sample.wall_s,
        ("cold", "warm"),
    ),
    Plot(
        "upload-requests",
        "Indexing one upload: requests to S3",
        "requests",
        lambda sample: sample.s3.requests,
        ("cold",),
    ),
    Plot(
        "upload-memory",
        "Indexing one upload: peak memory of the largest process",
        "MiB",
        lambda sample: sample.peak_mib,
        ("cold", "warm"),
    ),
)


def draw(results: Results, folder: Path) -> Iterator[Path]:
    """Draw every plot, each as PNG and SVG."""
    measured = [one for one in results.of("upload") if one.case.latency_ms == TYPICAL_LATENCY_MS]
    folder.mkdir(parents=True, exist_ok=True)
    # The salt: the same picture is to be the same file.
    with mpl.rc_context({"font.size": 10, "svg.hashsalt": "sluice"}):
        for plot in PLOTS:
            figure = _figure(plot, measured)
            for suffix, metadata in _METADATA.items():
                path = folder / f"{plot.name}.{suffix}"
                figure.savefig(path, dpi=160, metadata=metadata)
                yield path


def _figure(plot: Plot, measured: Sequence[Measured]) -> Figure:
    figure = Figure(figsize=(7.2, 4.3), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log")
    ends: list[tuple[float, float, str, str]] = []
    for (subject, temperature), (label, colour, style) in _LINES.items():
        points = sorted(
            (one.case.packages, [plot.value(sample) for sample in one.samples])
            for one in measured
            if _is_of(one.case, subject, temperature) and temperature in plot.temperatures
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
        told = label if len(plot.temperatures) > 1 else subject
        ends.append((sizes[-1], middles[-1], told, colour))
    _furnish(axes, plot, sorted({one.case.packages for one in measured}))
    _label(axes, ends)
    return figure


def _is_of(case: Case, subject: str, temperature: str) -> bool:
    return (case.subject, case.temperature) == (subject, temperature)


def _furnish(axes: Axes, plot: Plot, sizes: Sequence[int]) -> None:
    axes.set_title(plot.title, loc="left", fontsize=11, color="#111827", pad=10)
    axes.set_xlabel(
        f"packages in the subdir; {TYPICAL_LATENCY_MS:g} ms added to each request", color=_INK
    )
    axes.set_ylabel(plot.unit, color=_INK)
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
