"""Samples as Markdown: tables, and medians with the range behind.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

Table = list[list[str]]
"""Rows of cells; the first is the head."""


def table(rows: Table) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def middle(values: Iterable[float], digits: int = 2) -> str:
    """The median."""
    return f"{median(values):,.{digits}f}"


def spread(values: Iterable[float], digits: int = 2) -> str:
    """The median, and from where to where they go."""
    ordered = sorted(values)
    low, high = (f"{value:,.{digits}f}" for value in (ordered[0], ordered[-1]))
    return middle(ordered, digits) + ("" if low == high else f" ({low} to {high})")
