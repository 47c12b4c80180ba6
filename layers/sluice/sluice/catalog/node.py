"""The objects that are written for the entries of one package name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluice.catalog import shard
from sluice.catalog.client_view import NO_RULES, ClientView, RenderRules, render_view
from sluice.catalog.codec import content_digest, pack_struct
from sluice.catalog.entry import (
    NEVER_OUTDATED,
    CarriedRecord,
    Entries,
    Leaf,
    Pin,
    Record,
    Reject,
    large_record_bytes,
    listed_files,
    listing_digest,
)
from sluice.catalog.tree import Node, NodeExtras
from sluice.conda.timestamps import timestamp_warning
from sluice.limits import LEAF_BYTES_MAX

RENDERER_VERSION = 2
"""Version of the shard format: raised when the same leaf would give another shard.

2: with run exports, and match specs of revision 3 in brackets."""


@dataclass(frozen=True, slots=True)
class RenderedNode:
    """The rendered objects of one name, and the node that refers to them."""

    node: Node
    leaf_body: bytes
    shard_body: bytes | None
    """The public shard; ``None`` if clients see nothing."""


def render_node(
    name: str, entries: Entries, *, at: int, rules: RenderRules = NO_RULES
) -> RenderedNode:
    """Serialize the entries of one name, which must not be empty, as of the commit at ``at``."""
    leaf_body = pack_struct(
        Leaf(at=at, entries=dict(entries)), what=f"the leaf of {name}", bytes_max=LEAF_BYTES_MAX
    )
    view = render_view(entries, rules)
    # The files under "" have no parsable name, so no client could request a shard.
    shard_body = shard.encode_shard(view, at=at) if view.count and name else None
    records = [entry.record for entry in entries.values() if isinstance(entry, Record)]
    times = [record["indexed_timestamp"] for record in records]
    node = Node(
        leaf=bytes.fromhex(content_digest(leaf_body)),
        shard=bytes.fromhex(content_digest(shard_body)) if shard_body else None,
        listing=listing_digest(listed_files(entries)),
        records=len(records),
        rejects=sum(isinstance(entry, Reject) for entry in entries.values()),
        extractor=min(
            (
                entry.extractor
                for entry in entries.values()
                if not isinstance(entry, Pin | CarriedRecord)
            ),
            default=NEVER_OUTDATED,
        ),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        extras=_node_extras(records, view),
        only_rejects=all(isinstance(entry, Reject) for entry in entries.values()),
        large_bytes=sum(map(large_record_bytes, entries.values())),
    )
    return RenderedNode(node, leaf_body, shard_body)


def _node_extras(records: list[dict[str, Any]], view: ClientView) -> NodeExtras | None:
    warnings = sum(timestamp_warning(record) is not None for record in records)
    if not warnings and not view.v3 and view.count == len(records):
        return None
    v3 = list(_records_of(view.v3))
    times = [record["indexed_timestamp"] for record in v3 if "indexed_timestamp" in record]
    return NodeExtras(
        visible_records=view.count,
        v3=len(v3),
        v3_oldest=min(times, default=None),
        v3_newest=max(times, default=None),
        warnings=warnings,
    )


def _records_of(v3: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    for records in v3.values():
        yield from records.values()
