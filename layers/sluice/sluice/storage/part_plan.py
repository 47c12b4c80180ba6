"""The parts of a multipart upload: which S3 copies from the version before, and which are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sluice.limits import COPIED_BYTES_MIN, COPIED_PART_BYTES, PART_BYTES, PART_BYTES_MIN
from sluice.storage.object_store import SharedRange


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body."""

    start: int
    """Its offset in the body."""
    end: int
    copy_from: int | None = None
    """Its offset in the version before; ``None``: it is sent."""


def plan_parts(size: int, shared: Sequence[SharedRange] = ()) -> list[Part]:
    """Divide a body of ``size`` bytes into parts, in order.

    ``shared`` is in the order of the body, and its ranges do not overlap.  Each part but the last
    has at least ``PART_BYTES_MIN`` (a limit of S3), so a part that is sent takes what it lacks from
    the range after it.  A range that is too short to be worth a request is sent.
    """
    parts: list[Part] = []
    sent_from = 0
    for one in shared:
        start, end = one.start, one.start + one.length
        if 0 < start - sent_from < PART_BYTES_MIN:
            start = sent_from + PART_BYTES_MIN
        if end - start < COPIED_BYTES_MIN:
            continue
        parts += _split(sent_from, start, PART_BYTES)
        parts += _split(start, end, COPIED_PART_BYTES, offset=one.source - one.start)
        sent_from = end
    return [*parts, *_split(sent_from, size, PART_BYTES)]


def _split(start: int, end: int, size_max: int, *, offset: int | None = None) -> Iterator[Part]:
    """Parts of ``size_max``; what is left is a part of its own unless that would be too small."""
    while start < end:
        cut = start + size_max
        if end - cut < PART_BYTES_MIN:
            cut = end
        yield Part(start, cut, None if offset is None else start + offset)
        start = cut
