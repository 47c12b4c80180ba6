"""Made-up metrics for the picture of the dashboard: midnight to noon of a busy channel.

A quiet night with a reconcile, a morning of CI with two large builds, an outage of S3 that was sat
out, and just now a package that cannot be indexed.  The same every time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

FIRST_HOUR = 0
POINTS_PER_HOUR = 12
POINTS = 12 * POINTS_PER_HOUR
"""Periods of five minutes."""
Series = list[float | None]
"""A value for each period; ``None`` where nothing was sent."""

_BUILDS = {86: 60, 87: 90, 88: 40, 120: 70, 121: 120, 122: 95, 123: 30}
_REMOVALS = {70: 3, 99: 8, 123: 2}
_REJECTS = {88: 1, POINTS - 1: 2}
_OUTAGE = 104
_RECONCILE = 36
_MORNING = 5 * POINTS_PER_HOUR


def series(metric: str, of: str, stat: str) -> Series:
    """The values of a metric, of a function, a queue or a service, in one statistic.

    Raises ``KeyError`` for a metric that nothing is known of.
    """
    return _METRICS[metric](of, stat)


def _uploads() -> list[int]:
    draw = random.Random("uploads")  # noqa: S311 - a picture, not a secret
    usual = [1.5 + 24 * min(1, max(0, point - _MORNING) / 40) for point in range(POINTS)]
    return [
        round(level * (0.4 + 1.2 * draw.random())) + _BUILDS.get(point, 0)
        for point, level in enumerate(usual)
    ]


_UPLOADS = _uploads()
_EVENTS = [count + _REMOVALS.get(point, 0) for point, count in enumerate(_UPLOADS)]


def _noise(name: str, low: float, high: float) -> list[float]:
    draw = random.Random(name)  # noqa: S311 - a picture, not a secret
    return [low + (high - low) * draw.random() for _ in range(POINTS)]


def _where_busy(values: Callable[[int], float]) -> Series:
    return [values(point) if _EVENTS[point] else None for point in range(POINTS)]


def _counts(counts: Mapping[int, float]) -> Series:
    return _where_busy(lambda point: counts.get(point, 0))


def _levels(counts: Mapping[int, float]) -> Series:
    return [counts.get(point, 0) for point in range(POINTS)]


def _at_night(value: float) -> Series:
    return [value if point == _RECONCILE else None for point in range(POINTS)]


def _staged(_of: str, _stat: str) -> Series:
    waits = _EVENTS[_OUTAGE] // 2
    late = {_OUTAGE: -waits, _OUTAGE + 1: waits}
    return _where_busy(lambda point: _EVENTS[point] + late.get(point, 0))


def _indexed(_of: str, _stat: str) -> Series:
    return _where_busy(lambda point: _UPLOADS[point] - _REJECTS.get(point, 0))


def _lag(_of: str, stat: str) -> Series:
    noise = _noise(f"lag {stat}", 0, 2_500)
    base, per_upload = (9_000, 25) if stat == "p50" else (12_500, 60)
    late = 16_000 if stat == "p95" else 3_000
    return _where_busy(
        lambda point: base + noise[point] + per_upload * _EVENTS[point] + late * (point == _OUTAGE)
    )


def _merge_ms(_of: str, stat: str) -> Series:
    noise = _noise(f"merge {stat}", 0, 90)
    base, per_upload = (380, 1.6) if stat == "p50" else (520, 4.5)
    return _where_busy(lambda point: base + noise[point] + per_upload * _EVENTS[point])


def _duration(of: str, stat: str) -> Series:
    if of == "ReconcileFunction":
        return _at_night(2_350)
    if of == "MergeFunction":
        return _merge_ms(of, stat)
    noise = _noise("extract", 65, 140)
    return _where_busy(lambda point: noise[point])


def _waiting(of: str, _stat: str) -> Series:
    if of == "UploadQueue":
        return [max(0, count - 30) // 3 for count in _EVENTS]
    if of == "MergeQueue":
        return _levels({_OUTAGE: 4, 121: 2})
    return _levels({})


def _handled(of: str, _stat: str) -> Series:
    most = 50 if of == "UploadQueue" else 4
    return [min(most, (count + 9) // 10) for count in _EVENTS]


def _delayed(_of: str, _stat: str) -> Series:
    return [min(5, (count + 3) // 4) for count in _EVENTS]


def _age(of: str, _stat: str) -> Series:
    noise = _noise(f"age {of}", 1, 4)
    if of == "ReconcileQueue":
        return _levels({_RECONCILE: 3})
    base, late = (0, 20) if of == "UploadQueue" else (12, 160)
    return [
        base + noise[point] + late * (point == _OUTAGE) if count else 0
        for point, count in enumerate(_EVENTS)
    ]


def _running(of: str, stat: str) -> Series:
    if of == "ReconcileFunction":
        return _at_night(1)
    handled = _handled("UploadQueue" if of == "ExtractFunction" else "MergeQueue", stat)
    return [value or None for value in handled]


def _failures(of: str, _stat: str) -> Series:
    return _counts({_OUTAGE: 6 if of == "extract" else 3})


_METRICS: dict[str, Callable[[str, str], Series]] = {
    "NumberOfMessagesSent": lambda _of, _stat: [float(count) for count in _EVENTS],
    "ApproximateNumberOfMessagesVisible": _waiting,
    "ApproximateNumberOfMessagesNotVisible": _handled,
    "ApproximateNumberOfMessagesDelayed": _delayed,
    "ApproximateAgeOfOldestMessage": _age,
    "StagedRecords": _staged,
    "ExtractFailures": _failures,
    "PackagesIndexed": _indexed,
    "PackagesRemoved": lambda _of, _stat: _counts(_REMOVALS),
    "PackagesRejected": lambda _of, _stat: _counts(_REJECTS),
    "TimestampWarnings": lambda _of, _stat: _counts({}),
    "IndexLag": _lag,
    "MergeDuration": _merge_ms,
    "MergeFailures": _failures,
    "WrongState": lambda _of, _stat: _counts({}),
    "ForeignIndexWrites": lambda _of, _stat: _counts({}),
    "StagingSetAside": lambda _of, _stat: _counts({}),
    "ReconcileRepairs": lambda _of, _stat: _at_night(2),
    "ReconcileFailures": lambda _of, _stat: _at_night(0),
    "RemovalsWaiting": lambda _of, _stat: _at_night(0),
    "GarbageCollected": lambda _of, _stat: _at_night(1_214),
    "Errors": lambda _of, _stat: _counts({}),
    "Throttles": lambda _of, _stat: _counts({}),
    "Duration": _duration,
    "ConcurrentExecutions": _running,
}
