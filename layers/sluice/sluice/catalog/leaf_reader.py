"""Reads stored leaves, each an object of its own or a part of a pack."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from threading import Lock

from sluice.catalog.pack import LeafPlace
from sluice.catalog.tree import Node
from sluice.layout import Subdir
from sluice.limits import PACKS_CACHED_MAX, RANGES_PER_PACK_MAX
from sluice.storage.object_store import ObjectStore


def stored_key(subdir: Subdir, node: Node) -> str:
    """The key of the object in the state bucket that holds the leaf of a node."""
    if node.place:
        return subdir.pack_key(node.place.pack.hex())
    return subdir.leaf_key(node.leaf.hex())


def is_intact(body: bytes, node: Node) -> bool:
    """Whether some bytes are the leaf of a node."""
    return sha256(body).digest() == node.leaf


class LeafReader:
    """Reads the bytes of leaves of one subdir, with as few requests as is sensible.

    Keeps the last packs that it has read, since the leaves of neighbouring names are in one pack.
    It may be used by several threads.
    """

    def __init__(self, state: ObjectStore, subdir: Subdir) -> None:
        self._state = state
        self._subdir = subdir
        self._packs: dict[bytes, bytes] = {}
        """The last packs, by digest."""
        self._lock = Lock()

    def plan_reads(self, nodes: Sequence[Node]) -> list[list[Node]]:
        """Group nodes so that each group needs at most one request.

        A few leaves of a pack are read in ranges: a request each, as other leaves need.  Many are
        read with the whole pack.
        """
        by_pack: dict[bytes, list[Node]] = {}
        for node in nodes:
            if node.place:
                by_pack.setdefault(node.place.pack, []).append(node)
        whole = {
            pack: packed
            for pack, packed in by_pack.items()
            if len(packed) > RANGES_PER_PACK_MAX or self._cached(pack) is not None
        }
        rest = [[node] for node in nodes if node.place is None or node.place.pack not in whole]
        return [*whole.values(), *rest]

    def read_group(self, group: Sequence[Node]) -> list[bytes | None]:
        """The bytes of each leaf of one group of ``plan_reads``; ``None`` if its object is missing.

        They may be damaged: hold them against the digests (``is_intact``).
        """
        return [self._read(node, whole=len(group) > 1) for node in group]

    def read(self, node: Node) -> bytes | None:
        """The bytes of one leaf, see ``read_group``."""
        return self._read(node, whole=False)

    def _read(self, node: Node, *, whole: bool) -> bytes | None:
        place = node.place
        if place is None:
            stored = self._state.get(stored_key(self._subdir, node))
            return stored.body if stored else None
        if not whole and self._cached(place.pack) is None:
            part = self._state.get_range(stored_key(self._subdir, node), place.offset, place.length)
            if part is None or is_intact(part, node):
                return part
            # A server or a proxy may ignore ranges, or answer with another.  The whole object comes
            # with S3's own checksum.
        pack_body = self._read_pack(place, node)
        return None if pack_body is None else place.cut(pack_body)

    def _read_pack(self, place: LeafPlace, node: Node) -> bytes | None:
        cached = self._cached(place.pack)
        if cached is not None:
            return cached
        stored = self._state.get(stored_key(self._subdir, node))
        if stored is None:
            return None
        with self._lock:
            self._packs[place.pack] = stored.body
            while len(self._packs) > PACKS_CACHED_MAX:
                del self._packs[next(iter(self._packs))]
        return stored.body

    def _cached(self, pack: bytes) -> bytes | None:
        with self._lock:
            return self._packs.get(pack)
