"""A leaf: everything known about the files of one package name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from sluice import zstd
from sluice.catalog.codec import FORMAT, digest, pack, pack_plain, unpack
from sluice.catalog.tree import Node
from sluice.identity import Identity
from sluice.keys import PACKAGE_SUFFIXES

NOT_EXTRACTED = 0
"""Extractor version of what no extractor judged, but for the lack of a better verdict is believed:
records of somebody else's index, and rejects for what could not be read.  Any extractor's verdict
comes before it, and reconcile reads those packages again."""

NEVER_OUTDATED = 2**31 - 1
"""Extractor version of a node that has only pins: there is nothing to read again."""

_LISTING_DIGEST_BYTES = 16


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    identity: Identity | None
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


Entry = Record | Reject | Pin
Entries = Mapping[str, Entry]
"""By filename."""


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """As stored.  ``at`` makes the name unique: content that recurs gets another leaf."""

    at: int
    """Time of the commit that wrote it, ms since the epoch."""
    entries: dict[str, Entry]
    format: int = FORMAT


class Listed(NamedTuple):
    """One file, as far as its identity does not hang on when it was uploaded."""

    filename: str
    etag: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one name becomes: objects to write and the node that refers to them."""

    node: Node
    leaf_body: bytes
    shard_body: bytes | None
    """The public shard; ``None`` where the name has no records."""


def decode(body: bytes, *, what: str) -> Leaf:
    """Read a stored leaf; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack(body, Leaf, what=what)


def render(name: str, entries: Entries, *, at: int) -> Rendered:
    """Serialise the entries of one name, which must not be empty, as of the commit at ``at``."""
    leaf_body = pack(Leaf(at=at, entries=dict(entries)))
    records = records_of(entries)
    # The files under "" have no parsable name, so there is no shard a client could ask for.
    shard_body = shard(records, pinned(entries), at=at) if records and name else None
    times = [r["indexed_timestamp"] for r in records.values()]
    node = Node(
        leaf=bytes.fromhex(digest(leaf_body)),
        shard=bytes.fromhex(digest(shard_body)) if shard_body else None,
        listing=listing_digest(listed(entries)),
        records=len(records),
        rejects=sum(isinstance(entry, Reject) for entry in entries.values()),
        extractor=min(
            (entry.extractor for entry in entries.values() if not isinstance(entry, Pin)),
            default=NEVER_OUTDATED,
        ),
        oldest=min(times, default=None),
        newest=max(times, default=None),
    )
    return Rendered(node, leaf_body, shard_body)


def records_of(entries: Entries) -> dict[str, dict[str, Any]]:
    """The records among the entries, by filename, sorted."""
    return {
        filename: entry.record
        for filename, entry in sorted(entries.items())
        if isinstance(entry, Record)
    }


def pinned(entries: Entries) -> list[str]:
    """The files that are kept out on purpose, sorted."""
    return sorted(name for name, entry in entries.items() if isinstance(entry, Pin))


def shard(
    records: Mapping[str, Mapping[str, Any]], removed: Sequence[str] = (), *, at: int
) -> bytes:
    """Serialise the public shard of one name (CEP 16); filenames sorted.

    Digests are bytes there.  Both package maps are always present: py-rattler asks for them.
    ``at`` is a key that clients ignore; it keeps a shard's name from ever recurring, so that
    garbage collection needs no lock.
    """
    packages, packages_conda = by_archive(
        {filename: _with_binary_digests(record) for filename, record in records.items()}
    )
    content = {
        "at": at,
        "packages": packages,
        "packages.conda": packages_conda,
        "removed": list(removed),
    }
    ordered = msgspec.to_builtins(content, builtin_types=(bytes,), order="sorted")
    return zstd.compress(pack_plain(ordered))


def by_archive(records: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split by filename into ``packages`` (.tar.bz2) and ``packages.conda`` (CEP 36)."""
    conda, _ = PACKAGE_SUFFIXES
    return (
        {name: record for name, record in records.items() if not name.endswith(conda)},
        {name: record for name, record in records.items() if name.endswith(conda)},
    )


def listed(entries: Entries) -> Iterator[Listed]:
    """The entries' files as a LIST would show them; a pin may be on a file that is not there."""
    for filename, entry in entries.items():
        if entry.identity:
            yield Listed(filename, entry.identity.etag, entry.identity.size)


def listing_digest(files: Iterable[Listed]) -> bytes:
    """Condense the files of one name: equal for the catalog's and a LIST's if all is known.

    LastModified is left out: a copy onto itself changes nothing that anybody would read.
    """
    lines = "".join(f"{filename}\0{etag}\0{size}\n" for filename, etag, size in sorted(files))
    return sha256(lines.encode()).digest()[:_LISTING_DIGEST_BYTES]


def _with_binary_digests(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: bytes.fromhex(value) if key in ("md5", "sha256") and value else value
        for key, value in record.items()
    }
