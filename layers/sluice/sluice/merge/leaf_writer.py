"""Writes the leaves of one draft: a few as objects of their own, many in packs.

How many there are is known only at the end, and a pack has a name only when it is full.  So the
node of a leaf that waits for its pack does not say yet where the leaf is.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import partial
from typing import NamedTuple

import msgspec

from sluice.catalog.pack import join_leaves
from sluice.catalog.tree import Node
from sluice.concurrency import Pending
from sluice.layout import Subdir
from sluice.limits import (
    PACK_BYTES_MAX,
    PACKED_LEAF_BYTES_MAX,
    PACKED_LEAVES_MIN,
    PACKS_AT_ONCE_MAX,
)
from sluice.runtime import Runtime
from sluice.storage import object_headers


class _WaitingLeaf(NamedTuple):
    name: str
    node: Node
    body: bytes


class LeafWriter:
    """Writes the leaves of the names of one draft, one after the other.

    Has in memory at most the pack that it fills and those that are being written
    (``PACKS_AT_ONCE_MAX``).
    """

    def __init__(
        self, runtime: Runtime, subdir: Subdir, writes: list[Pending[None]], *, leaves_max: int
    ) -> None:
        """``writes``: where writes that may still be in progress are noted.

        ``leaves_max``: leaves of the draft, at most.  If that is too few for a pack, none waits.
        """
        self._runtime = runtime
        self._subdir = subdir
        self._writes = writes
        self._packs_in_progress: list[Pending[None]] = []
        self._may_pack = leaves_max >= PACKED_LEAVES_MIN
        self._has_packs = False
        self._waiting: list[_WaitingLeaf] = []
        self._waiting_bytes = 0
        self._settled: dict[str, Node] = {}

    @property
    def waiting_names(self) -> AbstractSet[str]:
        """The names whose leaves are not being written yet."""
        return {leaf.name for leaf in self._waiting}

    def add(self, name: str, node: Node, body: bytes) -> None:
        """Write the leaf of one name now or later; raises ``Unavailable``."""
        if not self._may_pack or len(body) > PACKED_LEAF_BYTES_MAX:
            self._write_alone(_WaitingLeaf(name, node, body))
            return
        if self._waiting and self._waiting_bytes + len(body) > PACK_BYTES_MAX:
            self._write_pack()
        self._waiting.append(_WaitingLeaf(name, node, body))
        self._waiting_bytes += len(body)

    def finish(self) -> None:
        """Write what waits; raises ``Unavailable``."""
        is_pack_worthwhile = self._has_packs and len(self._waiting) > 1
        if is_pack_worthwhile or len(self._waiting) >= PACKED_LEAVES_MIN:
            self._write_pack()
        for leaf in self._waiting:
            self._write_alone(leaf)
        self._waiting.clear()

    def take_settled(self) -> dict[str, Node]:
        """The final nodes of the names whose leaves are being written; each is returned once."""
        settled, self._settled = self._settled, {}
        return settled

    def _write_alone(self, leaf: _WaitingLeaf) -> None:
        self._submit(self._subdir.leaf_key(leaf.node.leaf.hex()), leaf.body)
        self._settled[leaf.name] = leaf.node

    def _write_pack(self) -> None:
        pack_body, places = join_leaves(leaf.body for leaf in self._waiting)
        self._settled |= {
            leaf.name: msgspec.structs.replace(leaf.node, place=place)
            for leaf, place in zip(self._waiting, places, strict=True)
        }
        self._waiting.clear()
        self._waiting_bytes = 0
        self._has_packs = True
        if len(self._packs_in_progress) >= PACKS_AT_ONCE_MAX:
            self._packs_in_progress.pop(0)()
        pending = self._submit(self._subdir.pack_key(places[0].pack.hex()), pack_body)
        self._packs_in_progress.append(pending)

    def _submit(self, key: str, body: bytes) -> Pending[None]:
        headers = object_headers.PRIVATE_ZSTD_HEADERS  # a pack is zstd, too: frame after frame
        pending = self._runtime.executor.submit(
            partial(self._runtime.state.put, key, body, headers)
        )
        self._writes.append(pending)
        return pending
