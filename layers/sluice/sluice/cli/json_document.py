"""Encodes results as JSON, with an ISO 8601 string beside each time in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

_TIME_NAMES = frozenset({"at", "since", "until"})
_ISO = "_iso"
_FIRST_PLAUSIBLE_MS = 10**11
"""Any number below is a count or a number of seconds: as ms since the epoch it is in 1973."""


def encode_json(result: object) -> bytes:
    """Encode a result.  Each time ``at`` is followed by ``at_iso``, and so on."""
    plain = msgspec.to_builtins(result, enc_hook=_to_plain)
    return msgspec.json.encode(_with_iso_times(plain))


def _with_iso_times(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_iso_times(item) for item in value]
    if not isinstance(value, dict):
        return value
    document: dict[str, Any] = {}
    for name, item in value.items():
        document[name] = _with_iso_times(item)
        if _is_time(name, item):
            document[f"{name}{_ISO}"] = _iso_8601(item)
    return document


def _is_time(name: str, value: object) -> bool:
    is_named_so = name in _TIME_NAMES or name.endswith("_at")
    return is_named_so and type(value) is int and value >= _FIRST_PLAUSIBLE_MS


def _iso_8601(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _to_plain(value: Any) -> Any:
    """Convert values that msgspec does not: mappings that are no ``dict``, and the like."""
    if isinstance(value, Iterable):
        return list(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")
