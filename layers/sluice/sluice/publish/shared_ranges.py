"""What two versions of ``repodata.json`` have in common, so that S3 can copy it."""

from __future__ import annotations

from sluice.limits import MIB
from sluice.storage.object_store import SharedRange

_TAIL_BYTES = MIB
"""From the end, in which the tail is looked for: all that follows the packages is small."""
_TAIL = b',"removed":['
"""The beginning of what follows the packages.  Its stamp differs in each version."""


def shared_ranges(before: bytes, after: bytes) -> list[SharedRange]:
    """What ``after`` has in common with ``before``: at the beginning, and from there to the tail.

    In between is what changed.  Records are sorted by filename, so after a single upload these two
    are nearly everything.
    """
    prefix = _common_prefix(before, after)
    before_end, after_end = _packages_end(before), _packages_end(after)
    limit = min(before_end, after_end) - prefix
    suffix = _common_suffix(before, before_end, after, after_end, max(0, limit))
    ranges = [
        SharedRange(0, 0, prefix),
        SharedRange(after_end - suffix, before_end - suffix, suffix),
    ]
    return [one for one in ranges if one.length]


def _packages_end(body: bytes) -> int:
    """The offset of the tail, or the end of the file if there is none."""
    offset = body.rfind(_TAIL, max(0, len(body) - _TAIL_BYTES))
    return len(body) if offset < 0 else offset


def _common_prefix(before: bytes, after: bytes) -> int:
    low, high = 0, min(len(before), len(after))
    step = MIB
    while low < high:  # the first block that differs, then the first byte in it
        end = min(high, low + step)
        if before[low:end] == after[low:end]:
            low = end
        elif step == 1:
            return low
        else:
            high, step = end, max(1, (end - low) // 2)
    return low


def _common_suffix(before: bytes, before_end: int, after: bytes, after_end: int, limit: int) -> int:
    length, high, step = 0, limit, MIB
    while length < high:
        longer = min(high, length + step)
        if (
            before[before_end - longer : before_end - length]
            == after[after_end - longer : after_end - length]
        ):
            length = longer
        elif step == 1:
            return length
        else:
            high, step = longer, max(1, (longer - length) // 2)
    return length
