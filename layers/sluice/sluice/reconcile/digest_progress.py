"""The record of the digest checks of one subdir: what was checked, and how much today.  Pure.

Each upload is hashed once.  A package that was hashed is remembered by a short hash of its
filename and identity.  No date can stand in for that: LastModified of a multipart upload is the
time when it began, so a package may appear with a date of weeks ago.

A package that needs no check now, or cannot have one, is remembered with the leaf that says so.
When that leaf changes, it is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from sluice.catalog.codec import pack_struct, unpack_struct
from sluice.catalog.tree import Node, Tree
from sluice.conda.timestamps import EpochMs
from sluice.limits import (
    DIGEST_CHECK_BYTES_MAX,
    DIGEST_CHECK_PACKAGES_MAX,
    DIGEST_CHECKS_REMEMBERED_MAX,
    SMALL_PACKAGE_BYTES_MAX,
)
from sluice.reconcile.listing import Listing
from sluice.storage.object_id import ObjectId

FORMAT = 1
"""The newest format of these records that this version reads, and the one that it writes."""

DAY_MS = 24 * 60 * 60 * 1000
_HASH_BYTES = 8

Hash = bytes
"""A short hash of a package's identity, or of that and its leaf."""


class DigestProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The stored record of one subdir.

    It may be deleted at any time: everything is then checked again.
    """

    day: int = 0
    """The day of the last check: days since the epoch (UTC)."""
    packages_begun: int = 0
    """Packages whose check began on that day."""
    bytes_begun: int = 0
    """Their size."""
    done: bytes = b""
    """Sorted hashes, one after the other: packages with nothing to check."""
    deferred: bytes = b""
    """The same of packages whose check began and did not end: they come after all others."""
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Refuse what is no sequence of hashes; msgspec turns this into a decoding error."""
        if len(self.done) % _HASH_BYTES or len(self.deferred) % _HASH_BYTES:
            raise ValueError("a hash is truncated")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that may need a check."""

    filename: str
    identity: ObjectId
    """As the listing shows it."""
    checked: Hash
    """What is remembered once it was hashed."""
    leaf: bytes
    """The digest of its name's leaf; empty if there is none."""

    @property
    def looked(self) -> Hash:
        """What is remembered once its leaf says that there is nothing to check."""
        return _hash(self.checked + self.leaf)


def encode_digest_progress(progress: DigestProgress) -> bytes:
    """Serialize."""
    return pack_struct(progress, what="the record of checked digests")


def decode_digest_progress(body: bytes, *, what: str) -> DigestProgress:
    """Parse a stored record; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_struct(body, DigestProgress, newest=FORMAT, what=what)


def find_candidates(listing: Listing, tree: Tree) -> list[Candidate]:
    """The packages that may have digests of their uploaders, the oldest first.

    Those of smaller packages are never believed: extract reads them in full.
    """
    large = sorted(
        (identity.modified, filename, name)
        for name, files in listing.names.items()
        for filename, identity in files.items()
        if identity.size > SMALL_PACKAGE_BYTES_MAX
    )
    return [
        _candidate(filename, listing.names[name][filename], tree.names.get(name))
        for _, filename, name in large[-DIGEST_CHECKS_REMEMBERED_MAX:]
    ]


class DigestBudget:
    """What may still be checked on one day, and what was checked so far."""

    def __init__(self, stored: DigestProgress, *, now_ms: EpochMs) -> None:
        self.done: set[Hash] = _split(stored.done)
        self._deferred: set[Hash] = _split(stored.deferred)
        self._stored = stored
        self._day = now_ms // DAY_MS
        is_same_day = self._day == stored.day
        self._packages = stored.packages_begun if is_same_day else 0
        self._bytes = stored.bytes_begun if is_same_day else 0

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more may be checked today."""
        return self._packages >= DIGEST_CHECK_PACKAGES_MAX or self._bytes >= DIGEST_CHECK_BYTES_MAX

    def unchecked(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The packages about which nothing is remembered, in the order in which to check them."""
        open_ones = [
            one
            for one in candidates
            if one.checked not in self.done and one.looked not in self.done
        ]
        return sorted(open_ones, key=lambda one: one.checked in self._deferred)

    def take(self, candidate: Candidate) -> bool:
        """Begin the check of a package, if it may begin today."""
        size = candidate.identity.size
        has_room = not self._packages or self._bytes + size <= DIGEST_CHECK_BYTES_MAX
        if self.is_used_up or not has_room:
            return False
        self._packages += 1
        self._bytes += size
        self._deferred.add(candidate.checked)
        return True

    def finish(self, candidate: Candidate, *, is_true: bool) -> None:
        """End the check of a package.  One with false digests is looked at until it is rejected."""
        self._deferred.discard(candidate.checked)
        if is_true:
            self.done.add(candidate.checked)

    def progress(self, candidates: Sequence[Candidate]) -> DigestProgress:
        """What to store: nothing about packages that are no longer there."""
        known: set[Hash] = {one.checked for one in candidates}
        looked = {one.looked for one in candidates if one.checked not in self.done}
        after = msgspec.structs.replace(
            self._stored,
            done=_join(self.done & (known | looked)),
            deferred=_join(self._deferred & known),
        )
        if not self._packages:  # a day without a check leaves no trace
            return after
        return msgspec.structs.replace(
            after, day=self._day, packages_begun=self._packages, bytes_begun=self._bytes
        )


def false_digest(
    stated: Mapping[str, object], stated_by: Mapping[str, str | None], actual: Mapping[str, str]
) -> str | None:
    """The first digest of the uploader's that is false: ``sha256`` or ``md5``; ``None`` if none is.

    ``stated``: a record; ``stated_by``: the sources of its digests, see ``Record``.
    """
    return next(
        (
            kind
            for kind in actual
            if is_of_uploader(stated_by, kind) and stated[kind] != actual[kind]
        ),
        None,
    )


def is_of_uploader(stated_by: Mapping[str, str | None], *kinds: str) -> bool:
    """Whether any of the digests (all, if none is named) is what the uploader said."""
    return any(stated_by.get(kind) == "uploader" for kind in kinds or stated_by)


def _candidate(filename: str, identity: ObjectId, node: Node | None) -> Candidate:
    line = f"{filename}\0{identity.etag}\0{identity.modified}\0{identity.size}\n".encode()
    return Candidate(filename, identity, _hash(line), node.leaf if node else b"")


def _hash(content: bytes) -> Hash:
    return sha256(content).digest()[:_HASH_BYTES]


def _split(joined: bytes) -> set[Hash]:
    return {joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES)}


def _join(hashes: set[Hash]) -> bytes:
    return b"".join(sorted(hashes))
