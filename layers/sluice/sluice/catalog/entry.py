"""Leaves and their entries: everything known about the files of one package name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import unpack_struct
from sluice.catalog.file_warnings import RECORD_LEFT_OUT, RUN_EXPORTS_UNREADABLE, FileWarning
from sluice.conda.timestamps import EpochMs
from sluice.limits import LARGE_RECORD_BYTES_MIN
from sluice.storage.object_id import ObjectId

FORMAT = 1
"""The newest format of leaves that this version reads, and the one that it writes."""

NOT_EXTRACTED = 0
"""Extractor version of entries that no extractor judged: records of another tool's index, and
rejects for files that could not be read.  They count until an extractor judges the file.  Reconcile
reads those packages again."""

NEVER_OUTDATED = 2**31 - 1
"""Extractor version above those of all extractors: nothing is to be read again.  Nodes that have
only pins have it, and rejects with ``DIGESTS_FALSE``."""

DIGESTS_FALSE = "digests-false"
"""Code of the reject of a package that does not have the digests that its metadata states.

To extract, which believes the metadata, it looks like a good package.  So its verdict has the
extractor version ``NEVER_OUTDATED``, and no extractor revises it: the object stays out until
another is uploaded under its name."""

_LISTING_DIGEST_BYTES = 16
ARCHIVED_CODE = "archived"
"""Code of a reject for an object that is in an archive: nobody can read it (403)."""
_PINNED = "pinned"
"""Marker in place of an ETag; a real ETag has quotes."""


_ARCHIVED = "archived "
"""Marker before the ETag of an archived object."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    identity: ObjectId | None
    """The object that was judged; ``None`` for a pin on a file that does not exist."""
    extractor: int
    """Version of the extractor that made this verdict."""


class Record(_Entry, frozen=True, kw_only=True, tag="record"):
    """The file is in the index."""

    record: dict[str, Any]
    """Its repodata record, unpatched, with ``indexed_timestamp`` (CEP 47)."""
    digests_from: dict[str, str | None] = msgspec.field(default_factory=dict)
    run_exports: Any = None
    channeldata: dict[str, Any] = msgspec.field(default_factory=dict)
    warnings: tuple[FileWarning, ...] | UnsetType = UNSET
    """Problems that leave the file in the index; absent if there are none."""

    @property
    def taken_over(self) -> bool:
        """Whether the record is from an index before sluice, and no better one was ever known."""
        return not self.digests_from

    @property
    def known_run_exports(self) -> Any:
        """The run exports, ``{}`` if it has none; ``None`` if they are not known (CEP 21)."""
        unknown = self.taken_over or any(
            warning.code == RUN_EXPORTS_UNREADABLE for warning in self.warnings or ()
        )
        return self.run_exports if unknown else self.run_exports or {}


class Reject(_Entry, frozen=True, kw_only=True, tag="reject"):
    """The file cannot be indexed, or (``is_left_out``) its package was not read yet."""

    code: str
    sentence: str
    """Empty beyond ``REJECT_SENTENCES_PER_NAME_MAX``."""
    at: EpochMs
    """Time of the reject's commit."""


class Pin(_Entry, frozen=True, kw_only=True, tag="pin"):
    """The file is kept out on purpose, until another object is uploaded under its name.

    Clients see it in ``removed`` (CEP 36).  No extractor judges it, however new.
    """

    at: EpochMs
    reason: str
    sha256: str | UnsetType = UNSET
    """Hex digest of the object, if known: identifies it in a restored bucket."""


class CarriedRecord(_Entry, frozen=True, kw_only=True, tag="kept"):
    """A record of an index before sluice in a v3 bucket that sluice does not fill (CEP 48).

    No extractor judges it: its file is no conda package, and may be elsewhere.  Its key in the leaf
    is ``<stem>.<bucket>``.
    """

    bucket: str
    """``whl``, or a bucket that is not known yet."""
    record: dict[str, Any]
    warnings: tuple[FileWarning, ...] | UnsetType = UNSET
    """Problems that leave the record in the index; absent if there are none."""

    def stem(self, filename: str) -> str:
        """The name in the bucket."""
        return filename.removesuffix(f".{self.bucket}")


Entry = Record | Reject | Pin | CarriedRecord
Entries = Mapping[str, Entry]
"""Entries by filename."""


def has_false_digests(entry: Entry | None) -> bool:
    """Whether the file is rejected because its metadata states other digests than it has."""
    return isinstance(entry, Reject) and entry.code == DIGESTS_FALSE


def is_left_out(entry: Entry | None) -> bool:
    """Whether an index before sluice had a record for the file that no client could read.

    It is stored as a reject, which releases before this kind of warning can read.  People see it as
    a warning.  Any verdict on the package replaces it.
    """
    return isinstance(entry, Reject) and entry.code == RECORD_LEFT_OUT


def is_rejected(entry: Entry | None) -> bool:
    """Whether the file was judged, and cannot be indexed."""
    return isinstance(entry, Reject) and not is_left_out(entry)


def stored_warnings(entry: Entry | None) -> tuple[FileWarning, ...]:
    """The warnings about a file that are stored with it."""
    if isinstance(entry, Reject) and is_left_out(entry):
        return (FileWarning(code=entry.code, sentence=entry.sentence),)
    return (entry.warnings or ()) if isinstance(entry, Record | CarriedRecord) else ()


def known_sha256(entry: Entry | None, identity: ObjectId) -> str | UnsetType:
    """The digest of an object, if ``entry`` is a record of that very object."""
    if isinstance(entry, Record) and entry.identity == identity:
        digest = entry.record.get("sha256")
        return digest if isinstance(digest, str) else UNSET
    return UNSET


def large_record_bytes(entry: Entry | None) -> int:
    """Bytes of a record as JSON, if it is a large one; otherwise 0."""
    if not isinstance(entry, Record):
        return 0
    length = len(msgspec.json.encode(entry.record))
    return length if length >= LARGE_RECORD_BYTES_MIN else 0


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """The stored leaf.  ``at`` makes its digest unique, even if the same content recurs."""

    at: EpochMs
    """Time of the commit that wrote it."""
    entries: dict[str, Entry]
    format: int = FORMAT


class ListedFile(NamedTuple):
    """One file, by the parts of its identity that do not depend on the upload time."""

    filename: str
    etag: str
    size: int
    """Bytes."""


def decode_leaf(body: bytes, *, what: str) -> Leaf:
    """Parse a stored leaf; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_struct(body, Leaf, newest=FORMAT, what=what)


def listed_files(entries: Entries) -> Iterator[ListedFile]:
    """The entries' files as a LIST would show them; a pin may be on a missing file.

    A pinned-out file differs from every LIST on purpose, so that reconcile always reads its leaf:
    for a pin, even the same bytes uploaded again are another object.
    """
    for filename, entry in entries.items():
        if entry.identity:
            archived = isinstance(entry, Reject) and entry.code == ARCHIVED_CODE
            etag = _PINNED if isinstance(entry, Pin) else entry.identity.etag
            yield listed_file(filename, etag, entry.identity.size, archived=archived)


def listed_file(filename: str, etag: str, size: int, *, archived: bool) -> ListedFile:
    """A file of a LIST (``size`` in bytes), marked if it is archived.

    The identity of an object stays as it is when it is archived or restored.  The mark makes the
    digest differ, so that reconcile reads the leaf.
    """
    return ListedFile(filename, _ARCHIVED + etag if archived else etag, size)


def listing_digest(files: Iterable[ListedFile]) -> bytes:
    """A digest of the files of one name: equal for the catalog and a LIST if they agree.

    LastModified is left out: a copy of an object onto itself changes nothing for readers.
    """
    lines = "".join(f"{filename}\0{etag}\0{size}\n" for filename, etag, size in sorted(files))
    return sha256(lines.encode()).digest()[:_LISTING_DIGEST_BYTES]
