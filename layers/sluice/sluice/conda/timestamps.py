"""The types of times, and the check that a package was built before it was indexed (CEP 47)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

EpochMs: TypeAlias = int
"""A time in milliseconds since the epoch."""
Clock = Callable[[], EpochMs]
"""Returns the current time."""

_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999: conda reads values up to here as seconds."""


def timestamp_warning(record: Mapping[str, Any]) -> str | None:
    """The problem of the ``timestamp`` of a record in the catalog; ``None``: no problem.

    A build that began after its package was indexed shows a wrong clock, or an attempt to slip past
    a cooldown in clients that use ``timestamp``.
    """
    built, indexed = record.get("timestamp"), record.get("indexed_timestamp")
    if not isinstance(built, int) or not isinstance(indexed, int):
        return None
    built_ms = timestamp_ms(built)
    if built_ms <= indexed:
        return None
    return (
        f"its timestamp says that it was built at {_format_time(built_ms)}, "
        f"but it was indexed at {_format_time(indexed)} already"
    )


def timestamp_seconds(timestamp: object) -> int:
    """A record's ``timestamp`` in seconds since the epoch; 0 if it is not valid."""
    if not isinstance(timestamp, int) or timestamp < 0:
        return 0
    return timestamp if timestamp <= _SECONDS_MAX else timestamp // 1000


def timestamp_ms(timestamp: object) -> EpochMs:
    """The time of a record's ``timestamp``; 0 if it is not valid."""
    if not isinstance(timestamp, int) or timestamp < 0:
        return 0
    return timestamp * 1000 if timestamp <= _SECONDS_MAX else timestamp


def _format_time(at_ms: EpochMs) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return f"{at_ms} ms"
