"""From the entries of one package name to the objects that are written for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluice.catalog import shard
from sluice.catalog.client_view import PLAIN, Rules, View, view
from sluice.catalog.codec import digest, pack
from sluice.catalog.entry import (
    NEVER_OUTDATED,
    Entries,
    Kept,
    Leaf,
    Pin,
    Record,
    Reject,
    listed,
    listing_digest,
)
from sluice.catalog.tree import Node, Special
from sluice.conda.timestamps import timestamp_warning

VERSION = 2
"""Of shards: raised when one would be made otherwise of the same leaf.

2: with run exports, and match specs of revision 3 in brackets.
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one name becomes: objects to write and the node that refers to them."""

    node: Node
    leaf_body: bytes
    shard_body: bytes | None
    """The public shard; ``None`` where there is nothing for clients to see."""


def render(name: str, entries: Entries, *, at: int, rules: Rules = PLAIN) -> Rendered:
    """Serialise the entries of one name, which must not be empty, as of the commit at ``at``."""
    leaf_body = pack(Leaf(at=at, entries=dict(entries)))
    shown = view(entries, rules)
    # The files under "" have no parsable name, so there is no shard a client could ask for.
    shard_body = shard.encode(shown, at=at) if shown.count and name else None
    records = [entry.record for entry in entries.values() if isinstance(entry, Record)]
    times = [record["indexed_timestamp"] for record in records]
    node = Node(
        leaf=bytes.fromhex(digest(leaf_body)),
        shard=bytes.fromhex(digest(shard_body)) if shard_body else None,
        listing=listing_digest(listed(entries)),
        records=len(records),
        rejects=sum(isinstance(entry, Reject) for entry in entries.values()),
        extractor=min(
            (entry.extractor for entry in entries.values() if not isinstance(entry, Pin | Kept)),
            default=NEVER_OUTDATED,
        ),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        special=_special(records, shown),
    )
    return Rendered(node, leaf_body, shard_body)


def _special(records: list[dict[str, Any]], shown: View) -> Special | None:
    warnings = sum(timestamp_warning(record) is not None for record in records)
    if not warnings and not shown.v3 and shown.count == len(records):
        return None
    v3 = list(_records_of(shown.v3))
    times = [record["indexed_timestamp"] for record in v3 if "indexed_timestamp" in record]
    return Special(
        shown=shown.count,
        v3=len(v3),
        v3_oldest=min(times, default=None),
        v3_newest=max(times, default=None),
        warnings=warnings,
    )


def _records_of(v3: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    for records in v3.values():
        yield from records.values()
