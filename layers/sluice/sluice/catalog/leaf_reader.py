"""Reads stored leaves, each an object of its own or a part of a pack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from sluice.catalog.pack import LeafPlace
from sluice.catalog.tree import Node
from sluice.layout import Subdir
from sluice.limits import PACK_GAP_BYTES_MAX
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
    """Reads the bytes of leaves of one subdir, with as few requests as is sensible."""

    def __init__(self, state: ObjectStore, subdir: Subdir) -> None:
        self._state = state
        self._subdir = subdir

    def plan_reads(self, nodes: Sequence[Node]) -> list[list[Node]]:
        """Group nodes so that each group needs one request.

        Leaves of neighbouring names are neighbours in their pack, because drafts write names in
        order.  So a reader that goes through all names reads each part of each pack once.
        """
        by_pack: dict[bytes, list[tuple[LeafPlace, Node]]] = {}
        for node in nodes:
            if node.place:
                by_pack.setdefault(node.place.pack, []).append((node.place, node))
        groups = [[node] for node in nodes if node.place is None]
        for packed in by_pack.values():
            groups += _neighbours(packed)
        return groups

    def read_group(self, group: Sequence[Node]) -> list[bytes | None]:
        """The bytes of each leaf of one group of ``plan_reads``; ``None`` if its object is missing.

        They may be damaged: hold them against the digests (``is_intact``).
        """
        key = stored_key(self._subdir, group[0])
        places = [node.place for node in group if node.place]
        if not places:
            stored = self._state.get(key)
            return [stored.body if stored else None]
        start = places[0].offset
        part = self._state.get_range(key, start, _end(places) - start)
        if part is None:
            return [None] * len(group)
        bodies = [place.cut(part, start=start) for place in places]
        if all(map(is_intact, bodies, group)):
            return [*bodies]
        # A server or a proxy may ignore ranges, or answer with another.  The whole object comes
        # with S3's own checksum.
        stored = self._state.get(key)
        return [place.cut(stored.body) if stored else None for place in places]

    def read(self, node: Node) -> bytes | None:
        """The bytes of one leaf, see ``read_group``."""
        return self.read_group([node])[0]


def _neighbours(packed: Iterable[tuple[LeafPlace, Node]]) -> Iterator[list[Node]]:
    """Split the leaves of one pack where more bytes lie between two than are worth reading."""
    group: list[Node] = []
    end = 0
    for place, node in sorted(packed, key=lambda one: one[0].offset):
        if group and place.offset - end > PACK_GAP_BYTES_MAX:
            yield group
            group = []
        group.append(node)
        end = max(end, place.end)
    yield group


def _end(places: Iterable[LeafPlace]) -> int:
    return max(place.end for place in places)
