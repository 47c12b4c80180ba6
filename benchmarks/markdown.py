"""Markdown tables.  Pure."""

from __future__ import annotations

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
