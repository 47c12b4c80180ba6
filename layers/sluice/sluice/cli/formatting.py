"""Formats numbers, times and sizes for the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from sluice.conda.timestamps import EpochMs
from sluice.text import printable

_KIB = 1024
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def format_utc(ms: EpochMs | None) -> str:
    """Format a time in UTC."""
    return "" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def format_age(ms: EpochMs | None, *, now: EpochMs) -> str:
    """Format the time since ``ms``."""
    if ms is None:
        return ""
    seconds = max(now - ms, 0) // 1000
    for length, unit in _STEPS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return "0 s"


def format_size(count: int) -> str:
    """Format a number of bytes."""
    if count < _KIB:
        return f"{count} B"
    for power, unit in enumerate(("KiB", "MiB"), start=1):
        if count < _KIB ** (power + 1):
            return f"{count / _KIB**power:.1f} {unit}"
    return f"{count / _KIB**3:.1f} GiB"


def format_number(count: int) -> str:
    """Format a whole number, in groups of three digits."""
    return f"{count:,}"


def format_count(count: int, noun: str) -> str:
    """Format a count with its noun, which has a regular plural."""
    return f"{format_number(count)} {noun}" if count == 1 else f"{format_number(count)} {noun}s"


def format_cell(value: object) -> str:
    """Format anything as one cell of a table; untrusted text cannot control the terminal."""
    return "" if value is None else printable(str(value))
