"""The document that tells people which files of a subdir are not in its index, and why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sluice.catalog.leaf import Entries, Reject
from sluice.keys import Subdir
from sluice.publish.fence import Stamp

FORMAT = 1


def render(leaves: Iterable[Entries], *, subdir: Subdir, stamp: Stamp) -> bytes:
    """Serialise the rejects among the entries, by filename."""
    rejects = {
        filename: entry
        for entries in leaves
        for filename, entry in entries.items()
        if isinstance(entry, Reject)
    }
    document = {
        "format": FORMAT,
        "channel": subdir.channel,
        "subdir": subdir.name,
        "sluice": stamp.body,
        "rejects": [
            {
                "filename": filename,
                "code": reject.code,
                "sentence": reject.sentence,
                "identity": reject.identity,
                "rejected_at": reject.at,
            }
            for filename, reject in sorted(rejects.items())
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
