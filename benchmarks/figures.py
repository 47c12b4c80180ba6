"""Samples as text: medians, with the range behind.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median


def middle(values: Iterable[float], *, digits: int = 2) -> str:
    """The median."""
    return f"{median(values):,.{digits}f}"


def spread(values: Iterable[float], *, digits: int = 2) -> str:
    """The median, and from where to where they go."""
    ordered = sorted(values)
    low, high = (f"{value:,.{digits}f}" for value in (ordered[0], ordered[-1]))
    told = middle(ordered, digits=digits)
    return told if low == high else f"{told} ({low} to {high})"
