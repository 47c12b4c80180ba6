"""Whether a package says that it was built before it was indexed (CEP 47)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999: what is not larger is in seconds, as conda reads it."""


def timestamp_warning(record: Mapping[str, Any]) -> str | None:
    """What is wrong with the ``timestamp`` of a record of the catalog; ``None``: nothing.

    A build that began after its package was indexed shows a clock that is wrong, or an attempt
    to slip past a cooldown in clients that go by ``timestamp``.
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
    """A ``timestamp`` of a record in seconds since the epoch; 0 for what is none."""
    if not isinstance(timestamp, int) or timestamp < 0:
        return 0
    return timestamp if timestamp <= _SECONDS_MAX else timestamp // 1000


def timestamp_ms(timestamp: object) -> int:
    """The same in milliseconds."""
    if not isinstance(timestamp, int) or timestamp < 0:
        return 0
    return timestamp * 1000 if timestamp <= _SECONDS_MAX else timestamp


def _format_time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return f"{at_ms} ms"
