"""The bound on all large records of one subdir.  Pure.

Who may upload packages decides how large their records are.  A record that is rejected for want of
room is tried again each day, as one whose package could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping

from sluice.catalog.entry import NOT_EXTRACTED, Entries, Entry, Record, Reject, large_record_bytes
from sluice.conda.timestamps import EpochMs
from sluice.limits import LARGE_RECORD_BYTES_MIN, LARGE_RECORDS_BYTES_MAX
from sluice.storage.object_id import ObjectId
from sluice.text import printable

CODE = "large-records-full"
"""The code of such a reject."""


def limit_large_records(
    before: Entries, after: Mapping[str, Entry], *, room: int, at: EpochMs
) -> tuple[Mapping[str, Entry], int]:
    """Reject new large records of one name, beyond ``room`` (bytes), in a commit at ``at`` (ms).

    A record that replaces one of at least its size is not new.  Returns the entries, and the room
    that is left.  It may be negative, because records of another index are taken over in any case.
    """
    changed = [
        filename
        for filename in sorted(before.keys() | after.keys())
        if before.get(filename) is not after.get(filename)
    ]
    sizes_before = {filename: large_record_bytes(before.get(filename)) for filename in changed}
    room += sum(sizes_before.values())
    rejected: dict[str, Entry] = {}
    for filename in changed:
        entry = after.get(filename)
        size = large_record_bytes(entry)
        if (
            isinstance(entry, Record)
            and entry.identity
            and size > max(room, sizes_before[filename])
        ):
            rejected[filename] = _reject(filename, entry.identity, size, at)
        else:
            room -= size
    return {**after, **rejected} if rejected else after, room


def _reject(filename: str, identity: ObjectId, size: int, at: EpochMs) -> Reject:
    return Reject(
        identity=identity,
        extractor=NOT_EXTRACTED,
        code=CODE,
        sentence=(
            f"{printable(filename)} cannot be indexed now: its record has {size} bytes, and the "
            f"records of {LARGE_RECORD_BYTES_MIN} bytes or more in this subdir would exceed their "
            f"total limit of {LARGE_RECORDS_BYTES_MAX} bytes."
        ),
        at=at,
    )
