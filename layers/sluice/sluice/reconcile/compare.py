"""Comparing what is in the bucket with what the catalog holds.  Pure.

Names whose files are as the catalog knows them are told by a digest that the tree holds; only the
leaves of the others are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sluice.catalog.entry import (
    NOT_EXTRACTED,
    CarriedRecord,
    Entries,
    Entry,
    Pin,
    Reject,
    listing_digest,
)
from sluice.catalog.tree import Tree
from sluice.extract import extract
from sluice.limits import PROVISIONAL_REJECT_HOURS
from sluice.reconcile.listing import Listing
from sluice.storage.object_id import ObjectId

_HOUR_MS = 3_600_000


class DiffKind(Enum):
    """How the bucket and the catalog differ about one file."""

    MISSING = "missing"
    """It is there, and the catalog does not know it."""
    CHANGED = "changed"
    """Another object is there than the one that was judged."""
    GONE = "gone"
    """The catalog knows it, and it is not there."""
    OUTDATED = "outdated"
    """The object that was judged is there, but deserves another verdict."""


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file about which the bucket and the catalog differ."""

    kind: DiffKind
    filename: str
    size: int | None
    """Bytes; ``None`` where it is gone."""
    entry: Entry | None
    """What the catalog knows of it."""


@dataclass(frozen=True, slots=True)
class ReExtractCriteria:
    """When a verdict on an object that has not changed is to be passed again."""

    now_ms: int
    re_extract: bool
    """Rejects, too: an archived object that was restored, say, shows in no listing."""

    def is_outdated(self, entry: Entry) -> bool:
        """Tell whether a newer extractor would judge otherwise, or none has judged at all."""
        if isinstance(entry, Pin | CarriedRecord):
            return False  # it stays, whatever a newer extractor thinks of the package
        if isinstance(entry, Reject) and entry.extractor == NOT_EXTRACTED:
            age_ms = self.now_ms - entry.at
            return self.re_extract or age_ms > PROVISIONAL_REJECT_HOURS * _HOUR_MS
        if isinstance(entry, Reject):
            return self.re_extract or entry.extractor < extract.EXTRACTOR_VERSION
        return entry.extractor < extract.RECORDS_SINCE


def suspect_names(listing: Listing, tree: Tree, criteria: ReExtractCriteria) -> list[str]:
    """The package names whose leaves must be looked at, in order."""
    return sorted(
        name
        for name in listing.names.keys() | tree.names.keys()
        if _is_suspect(name, listing, tree, criteria)
    )


def compare_files(
    objects: Mapping[str, ObjectId], entries: Entries, criteria: ReExtractCriteria
) -> Iterator[FileDifference]:
    """Tell the differences about the files of one package name, in order."""
    for filename in sorted(objects.keys() | entries.keys()):
        identity, entry = objects.get(filename), entries.get(filename)
        kind = _difference_kind(identity, entry, criteria)
        if kind:
            size = identity.size if identity else None
            yield FileDifference(kind, filename, size, entry)


def _is_suspect(name: str, listing: Listing, tree: Tree, criteria: ReExtractCriteria) -> bool:
    node = tree.names.get(name)
    return (
        node is None
        or node.extractor < extract.RECORDS_SINCE
        or (
            node.rejects > 0 and (criteria.re_extract or node.extractor < extract.EXTRACTOR_VERSION)
        )
        or node.listing != listing_digest(listing.listed_files(name))
    )


def _difference_kind(
    identity: ObjectId | None, entry: Entry | None, criteria: ReExtractCriteria
) -> DiffKind | None:
    if entry is None:
        return DiffKind.MISSING
    if identity is None:
        return DiffKind.GONE if entry.identity else None  # what stands without one may be elsewhere
    # As in the digest: the time of an upload tells nothing that its content does not, but to
    # bring back what was pinned out.
    judged = entry.identity
    if judged is None or (judged.etag, judged.size) != (identity.etag, identity.size):
        return DiffKind.CHANGED
    if isinstance(entry, Pin) and judged.modified != identity.modified:
        return DiffKind.CHANGED
    return DiffKind.OUTDATED if criteria.is_outdated(entry) else None
