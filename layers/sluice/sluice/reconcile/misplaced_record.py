"""The record of misplaced files, which comparisons keep in the state for ``sluice status``.

It is a hint for people and decides nothing.  So the last writer wins, and an undecodable record is
replaced.
"""

from __future__ import annotations

import msgspec

from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs
from sluice.errors import Corrupt, TooNew
from sluice.extract.misplaced import MisplacedFiles, MisplacedTally
from sluice.layout import MISPLACED_RECORD_KEY
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore

FORMAT = 1
"""The newest format of the record that this version reads, and the one that it writes."""


class MisplacedRecord(msgspec.Struct, kw_only=True):
    """The misplaced files of a bucket, as the last comparisons counted them."""

    at: EpochMs = 0
    """Time of the last count; 0: never."""
    channels: list[MisplacedFiles] = msgspec.field(default_factory=list)
    """By presumed channel, in order."""
    format: int = FORMAT


def read_misplaced_record(state: ObjectStore) -> MisplacedRecord:
    """Read the record, or an empty one; raises ``Corrupt`` and ``TooNew``."""
    stored = state.get(MISPLACED_RECORD_KEY)
    if stored is None:
        return MisplacedRecord()
    return unpack_json(stored.body, MisplacedRecord, newest=FORMAT, what=MISPLACED_RECORD_KEY)


def write_misplaced_record(
    state: ObjectStore, tally: MisplacedTally, *, channel: str | None, at: EpochMs
) -> None:
    """Store a new count (``at``, ms) of the folder of a channel, or (``None``) of the bucket.

    Nothing is written if no file was misplaced before, and none is now.  A newer sluice's record
    stays as it is.
    """
    try:
        known = read_misplaced_record(state)
    except TooNew:
        return
    except Corrupt:
        known = MisplacedRecord()
    others = [
        files for files in known.channels if channel is not None and not files.is_within(channel)
    ]
    record = MisplacedRecord(at=at, channels=MisplacedTally([*others, *tally.files]).files)
    if record.channels or known.channels:
        body = msgspec.json.format(msgspec.json.encode(record), indent=2)
        state.put(MISPLACED_RECORD_KEY, body, object_headers.PRIVATE_JSON_HEADERS)
