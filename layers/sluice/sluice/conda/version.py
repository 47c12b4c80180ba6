"""The order of versions (CEP 33).

A trailing underscore belongs to the letters before it, as in the CEP and in conda.  rattler
separates them, so that ``1a_`` is older than ``1a1``.
"""

from __future__ import annotations

import re
from functools import total_ordering
from itertools import zip_longest

_SEPARATORS = re.compile(r"[._-]")
_RUNS = re.compile(r"\d+|[^\d]+")

_Component = tuple[int, int, str]
"""Rank, number, text."""
_ZERO: _Component = (2, 0, "")
_TEXT = 1
_Segments = list[list[_Component]]


@total_ordering
class Version:
    """A version, reduced to what decides its order: ``1.1`` is ``1.1.0``."""

    __slots__ = ("epoch", "local", "main")

    def __init__(self, text: str) -> None:
        epoch, _, body = text.lower().rpartition("!")
        main, _, local = body.partition("+")
        self.epoch = int(epoch) if epoch.isdecimal() else 0
        self.main = _segments(main)
        self.local = _segments(local) if local else []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and _compare(self, other) == 0

    def __lt__(self, other: Version) -> bool:
        return _compare(self, other) < 0

    def starts_with(self, prefix: Version) -> bool:
        """Whether this is in the series ``prefix.*`` (CEP 29): ``1.2rc1`` is in ``1.2``."""
        if self.epoch != prefix.epoch:
            return False
        if prefix.local:
            return _compare_segments(self.main, prefix.main) == 0 and _starts_with(
                self.local, prefix.local
            )
        return _starts_with(self.main, prefix.main)

    def __hash__(self) -> int:
        raise TypeError("versions that are equal may be written in many ways")


def _compare(first: Version, second: Version) -> int:
    if first.epoch != second.epoch:
        return -1 if first.epoch < second.epoch else 1
    return _compare_segments(first.main, second.main) or _compare_segments(
        first.local, second.local
    )


def _compare_segments(first: _Segments, second: _Segments) -> int:
    for left, right in zip_longest(first, second, fillvalue=[_ZERO]):
        for a, b in zip_longest(left, right, fillvalue=_ZERO):
            if a != b:
                return -1 if a < b else 1
    return 0


def _starts_with(segments: _Segments, prefix: _Segments) -> bool:
    *before, last = prefix
    if _compare_segments(segments[: len(before)], before):  # 1 is in 1.0.0.*
        return False
    segment = segments[len(before)] if len(segments) > len(before) else []
    *earlier, final = last
    if _compare_segments([segment[: len(earlier)]], [earlier]):
        return False
    rank, _, text = component = segment[len(earlier)] if len(segment) > len(earlier) else _ZERO
    if final[0] == rank == _TEXT:
        return text.startswith(final[2])
    return component == final


def _segments(text: str) -> _Segments:
    # openssl's 1.0.1_ is older than 1.0.1a: a trailing underscore belongs to what it follows.
    body, tail = (text[:-1], "_") if text.endswith("_") else (text, "")
    parts = _SEPARATORS.split(body)
    parts[-1] += tail
    return [_segment(part) for part in parts]


def _segment(text: str) -> list[_Component]:
    components = [_component(run) for run in _RUNS.findall(text)]
    # A zero comes before a leading letter, to keep numbers and strings in phase.
    return components if text[:1].isdigit() else [_ZERO, *components]


def _component(run: str) -> _Component:
    if run.isdecimal():
        return (2, int(run), "")
    if run == "post":
        return (3, 0, "")
    return (0, 0, "") if run == "dev" else (_TEXT, 0, run)
