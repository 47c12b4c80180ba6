"""The objects that are written for the entries of one package name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluice import zstd
from sluice.catalog import shard
from sluice.catalog.client_view import (
    NO_RULES,
    ClientView,
    RenderRules,
    is_rejected_by_revision,
    render_view,
)
from sluice.catalog.codec import content_digest, pack_struct
from sluice.catalog.entry import (
    NEVER_OUTDATED,
    CarriedRecord,
    Entries,
    Leaf,
    Pin,
    Record,
    Reject,
    is_rejected,
    large_record_bytes,
    listed_files,
    listing_digest,
    stored_warnings,
)
from sluice.catalog.tree import Node, NodeExtras
from sluice.conda.timestamps import EpochMs, timestamp_warning
from sluice.limits import LEAF_BYTES_MAX, SHARD_BYTES_WARNED

RENDERER_VERSION = 3
"""Version of the shard format: raised when the same leaf would give another shard.

2: with run exports, and match specs of revision 3 in brackets.  3: ``track_features`` as a string
(CEP 34)."""


@dataclass(frozen=True, slots=True)
class RenderedNode:
    """The rendered objects of one name, and the node that refers to them."""

    node: Node
    leaf_body: bytes
    shard_body: bytes | None
    """The public shard; ``None`` if clients see nothing."""


def render_node(
    name: str, entries: Entries, *, at: EpochMs, rules: RenderRules = NO_RULES
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
        rejects=sum(map(is_rejected, entries.values())),
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
        extras=_node_extras(entries, view, shard_body, rules),
        only_rejects=all(isinstance(entry, Reject) for entry in entries.values()),
        large_bytes=sum(map(large_record_bytes, entries.values())),
    )
    return RenderedNode(node, leaf_body, shard_body)


def _node_extras(
    entries: Entries, view: ClientView, shard_body: bytes | None, rules: RenderRules
) -> NodeExtras | None:
    records = [entry for entry in entries.values() if isinstance(entry, Record)]
    warnings = sum(timestamp_warning(entry.record) is not None for entry in records)
    other_warnings = sum(len(stored_warnings(entry)) for entry in entries.values())
    shard_bytes = zstd.content_size(shard_body) if shard_body else 0
    too_large = shard_bytes if shard_bytes > SHARD_BYTES_WARNED else 0
    hidden = sum(is_rejected_by_revision(entry, rules.config) for entry in entries.values())
    plain = not view.v3 and view.count == len(records)
    if plain and not (warnings or other_warnings or too_large or hidden):
        return None
    v3 = list(_records_of(view.v3))
    times = [record["indexed_timestamp"] for record in v3 if "indexed_timestamp" in record]
    return NodeExtras(
        visible_records=view.count,
        v3=len(v3),
        v3_oldest=min(times, default=None),
        v3_newest=max(times, default=None),
        warnings=warnings,
        other_warnings=other_warnings,
        shard_bytes=too_large,
        hidden_by_revision=hidden,
    )


def _records_of(v3: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    for records in v3.values():
        yield from records.values()
