"""The comparison of the bucket with the catalog.  Pure.

The tree has a digest of each name's files.  Where a listing has the same digest, the files agree.
Only the leaves of the other names are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sluice.catalog.entry import (
    ARCHIVED_CODE,
    NOT_EXTRACTED,
    CarriedRecord,
    Entries,
    Entry,
    Pin,
    Record,
    Reject,
    is_left_out,
    listing_digest,
)
from sluice.catalog.tree import Tree
from sluice.conda.names import NO_NAME, package_name
from sluice.conda.timestamps import EpochMs
from sluice.extract import extract
from sluice.limits import PROVISIONAL_REJECT_HOURS
from sluice.reconcile.listing import Listing
from sluice.storage.object_id import ObjectId

_HOUR_MS = 3_600_000


class DiffKind(Enum):
    """The kinds of differences between the bucket and the catalog about one file."""

    MISSING = "missing"
    """The object exists, and the catalog does not know it."""
    CHANGED = "changed"
    """Another object exists than the one that was judged."""
    GONE = "gone"
    """The catalog knows the object, and it does not exist."""
    OUTDATED = "outdated"
    """The judged object exists, but needs a new verdict."""
    ARCHIVED = "archived"
    """The indexed object was archived since, so clients cannot read it."""
    RESTORED = "restored"
    """The object was rejected because it was archived, and the listing does not show it so.  It may
    be in an archive tier of Intelligent-Tiering, which no listing shows."""


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file about which the bucket and the catalog differ."""

    kind: DiffKind
    filename: str
    size: int | None
    """Bytes; ``None`` if it is gone."""
    entry: Entry | None
    """The catalog's entry for the file."""


@dataclass(frozen=True, slots=True)
class ReExtractCriteria:
    """Criteria for judging an unchanged object again."""

    now_ms: EpochMs
    re_extract: bool
    """Whether to judge rejects again, too.  For example, the reader of a package may have had a
    bug."""

    def is_outdated(self, entry: Entry) -> bool:
        """Whether a newer extractor would judge differently, or no extractor has judged at all."""
        if isinstance(entry, Pin | CarriedRecord):
            return False  # it stays, whatever a newer extractor says about the package
        if is_left_out(entry):
            return True  # an index before sluice knew nothing of use about it
        if isinstance(entry, Reject) and entry.extractor == NOT_EXTRACTED:
            age_ms = self.now_ms - entry.at
            return self.re_extract or age_ms > PROVISIONAL_REJECT_HOURS * _HOUR_MS
        if isinstance(entry, Reject):
            return self.re_extract or entry.extractor < extract.EXTRACTOR_VERSION
        return entry.extractor < extract.RECORDS_SINCE


def suspect_names(listing: Listing, tree: Tree, criteria: ReExtractCriteria) -> list[str]:
    """The package names whose leaves must be read, in order."""
    return sorted(
        name
        for name in listing.names.keys() | tree.names.keys()
        if _is_suspect(name, listing, tree, criteria)
    )


def compare_files(
    objects: Mapping[str, ObjectId],
    entries: Entries,
    criteria: ReExtractCriteria,
    archived: Collection[str] = (),
) -> Iterator[FileDifference]:
    """Yield the differences about the files of one package name, in order.

    Of files without a name only records of another tool's index are known, which may be gone.
    Others are no packages: they are counted as misplaced, and nobody reads them.  ``archived``: the
    filenames of archived objects.
    """
    example = next(iter(objects), None) or next(iter(entries), "")
    is_named = package_name(example) != NO_NAME
    for filename in sorted(objects.keys() | entries.keys() if is_named else entries):
        identity, entry = objects.get(filename), entries.get(filename)
        kind = _difference_kind(identity, entry, criteria, archived=filename in archived)
        if kind and (is_named or kind is DiffKind.GONE):
            size = identity.size if identity else None
            yield FileDifference(kind, filename, size, entry)


def _is_suspect(name: str, listing: Listing, tree: Tree, criteria: ReExtractCriteria) -> bool:
    node = tree.names.get(name)
    if node is None:
        return name != NO_NAME
    return (
        node.extractor < extract.RECORDS_SINCE
        or (
            node.rejects > 0 and (criteria.re_extract or node.extractor < extract.EXTRACTOR_VERSION)
        )
        or node.listing != listing_digest(listing.listed_files(name))
    )


def _difference_kind(
    identity: ObjectId | None, entry: Entry | None, criteria: ReExtractCriteria, *, archived: bool
) -> DiffKind | None:
    if entry is None:
        return DiffKind.MISSING
    if identity is None:
        return DiffKind.GONE if entry.identity else None  # without an identity, it may be elsewhere
    # As in the digest: the upload time adds nothing to the content, except that a new upload
    # restores a file that was pinned out.
    judged = entry.identity
    if judged is None or (judged.etag, judged.size) != (identity.etag, identity.size):
        return DiffKind.CHANGED
    if isinstance(entry, Pin) and judged.modified != identity.modified:
        return DiffKind.CHANGED
    return DiffKind.OUTDATED if criteria.is_outdated(entry) else _archive_kind(entry, archived)


def _archive_kind(entry: Entry, archived: bool) -> DiffKind | None:  # noqa: FBT001 - the two cases
    if archived:
        return DiffKind.ARCHIVED if isinstance(entry, Record) else None
    was_archived = isinstance(entry, Reject) and entry.code == ARCHIVED_CODE
    return DiffKind.RESTORED if was_archived else None
