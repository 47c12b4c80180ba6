"""A leaf: everything known about the files of one package name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, unpack_struct
from sluice.storage.object_id import ObjectId

NOT_EXTRACTED = 0
"""Extractor version of what no extractor judged, but for the lack of a better verdict is believed:
records of somebody else's index, and rejects for what could not be read.  Any extractor's verdict
comes before it, and reconcile reads those packages again."""

NEVER_OUTDATED = 2**31 - 1
"""Extractor version of a node that has only pins: there is nothing to read again."""

_LISTING_DIGEST_BYTES = 16
_PINNED = "pinned"
"""Instead of an ETag, which has quotes."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    identity: ObjectId | None
    """The object that was judged; ``None`` is for a pin on a file that is not there."""
    extractor: int
    """Version of the extractor that judged."""


class Record(_Entry, frozen=True, kw_only=True, tag="record"):
    """The file is in the index."""

    record: dict[str, Any]
    """Its repodata record, unpatched, with ``indexed_timestamp`` (CEP 47)."""
    digests_from: dict[str, str | None] = msgspec.field(default_factory=dict)
    run_exports: Any = None
    channeldata: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def taken_over(self) -> bool:
        """Whether it is of an index before sluice, and nothing better was ever known."""
        return not self.digests_from

    @property
    def known_run_exports(self) -> Any:
        """Its run exports, ``{}`` where it has none; ``None`` where nobody ever looked (CEP 21)."""
        return self.run_exports if self.taken_over else self.run_exports or {}


class Reject(_Entry, frozen=True, kw_only=True, tag="reject"):
    """The file cannot be indexed."""

    code: str
    sentence: str
    at: int
    """When the reject was committed, ms since the epoch."""


class Pin(_Entry, frozen=True, kw_only=True, tag="pin"):
    """The file is kept out on purpose, until another object is uploaded under its name.

    Clients find it among what was ``removed`` (CEP 36).  Nobody judges it, however new.
    """

    at: int
    reason: str
    sha256: str | UnsetType = UNSET
    """Hex digest of the object, where it was known: tells it in a bucket that was restored."""


class CarriedRecord(_Entry, frozen=True, kw_only=True, tag="kept"):
    """A record of an index before sluice in a v3 bucket that sluice does not fill (CEP 48).

    Nobody judges it: its file is no conda package, and may lie elsewhere.  In the leaf it stands
    under ``<stem>.<bucket>``.
    """

    bucket: str
    """``whl``, or one that is not known yet."""
    record: dict[str, Any]

    def stem(self, filename: str) -> str:
        """Its name in the bucket."""
        return filename.removesuffix(f".{self.bucket}")


Entry = Record | Reject | Pin | CarriedRecord
Entries = Mapping[str, Entry]
"""By filename."""


def known_sha256(entry: Entry | None, identity: ObjectId) -> str | UnsetType:
    """The digest of an object, where ``entry`` is a record of that very object."""
    if isinstance(entry, Record) and entry.identity == identity:
        digest = entry.record.get("sha256")
        return digest if isinstance(digest, str) else UNSET
    return UNSET


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """As stored.  ``at`` makes the name unique: content that recurs gets another leaf."""

    at: int
    """Time of the commit that wrote it, ms since the epoch."""
    entries: dict[str, Entry]
    format: int = FORMAT


class ListedFile(NamedTuple):
    """One file, as far as its identity does not hang on when it was uploaded."""

    filename: str
    etag: str
    size: int
    """Bytes."""


def decode_leaf(body: bytes, *, what: str) -> Leaf:
    """Read a stored leaf; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_struct(body, Leaf, what=what)


def listed_files(entries: Entries) -> Iterator[ListedFile]:
    """The entries' files as a LIST would show them; a pin may be on a file that is not there.

    One that is pinned out is as no LIST shows it, so that reconcile always looks at its leaf: for
    a pin, even the same bytes uploaded again are another object.
    """
    for filename, entry in entries.items():
        if entry.identity:
            etag = _PINNED if isinstance(entry, Pin) else entry.identity.etag
            yield ListedFile(filename, etag, entry.identity.size)


def listing_digest(files: Iterable[ListedFile]) -> bytes:
    """Condense the files of one name: equal for the catalog's and a LIST's if all is known.

    LastModified is left out: a copy onto itself changes nothing that anybody would read.
    """
    lines = "".join(f"{filename}\0{etag}\0{size}\n" for filename, etag, size in sorted(files))
    return sha256(lines.encode()).digest()[:_LISTING_DIGEST_BYTES]
