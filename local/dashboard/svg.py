"""The few shapes that the picture is made of.  Pure."""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape

INK, GREY, RED, GREEN = "#16191f", "#687078", "#d13212", "#1d8102"
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")
"""Of the metrics of one widget, in their order."""
Anchor = Literal["start", "middle", "end"]


def number(value: float) -> str:
    """A coordinate, as short as a tenth of a pixel may be."""
    return f"{value:.1f}".removesuffix(".0")


def words(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    fill: str = INK,
    bold: bool = False,
    anchor: Anchor = "start",
) -> str:
    """A line of text on the baseline ``y``."""
    weight = ' font-weight="600"' if bold else ""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{size}" fill="{fill}"{weight}{place}>'
        f"{escape(text)}</text>"
    )


def box(x: float, y: float, width: float, height: float, fill: str) -> str:
    """A filled rectangle."""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" '
        f'height="{number(height)}" fill="{fill}"/>'
    )


def path(steps: str, stroke: str, *, width: float = 1, dashed: bool = False) -> str:
    """A line that is not filled."""
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    return f'<path d="{steps}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{dashes}/>'
