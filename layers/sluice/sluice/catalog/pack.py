"""Packs: many leaves of one commit in one object, one after the other.  Pure.

A commit that changes a thousand names would otherwise write a thousand small objects.  Each leaf in
a pack stays a leaf of its own, with its own digest and its own compression: a reader that knows its
place can read it without the rest.

A pack never changes.  Its name is the digest of its bytes.  No name recurs, because each leaf
carries the time of its commit.  A name that changes later gets a new leaf elsewhere, so the part of
a pack that is still needed shrinks.  Nothing moves what is left.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sluice.catalog.codec import content_digest


class LeafPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a leaf is in a pack.  Stored as an array, as ``Node`` is."""

    pack: bytes
    """SHA-256 of the pack."""
    offset: int
    """Bytes of the pack before the leaf."""
    length: int
    """Bytes of the leaf."""

    @property
    def end(self) -> int:
        """Bytes of the pack up to the end of the leaf."""
        return self.offset + self.length

    def cut(self, body: bytes, *, start: int = 0) -> bytes:
        """The leaf's bytes out of the pack, or out of its part from ``start`` on.

        Fewer than ``length`` if the body ends before.
        """
        return body[self.offset - start : self.end - start]


def join_leaves(leaf_bodies: Iterable[bytes]) -> tuple[bytes, list[LeafPlace]]:
    """The pack of some leaves, in their order, and the place of each."""
    bodies = list(leaf_bodies)
    pack_body = b"".join(bodies)
    digest = bytes.fromhex(content_digest(pack_body))
    places: list[LeafPlace] = []
    offset = 0
    for body in bodies:
        places.append(LeafPlace(digest, offset, len(body)))
        offset += len(body)
    return pack_body, places
