"""The tree of one generation: for each package name, what refers to its leaf and its shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, pack, unpack


class Node(msgspec.Struct, frozen=True, array_like=True):
    """One package name.  Stored as an array: new fields go to the end and have defaults."""

    leaf: bytes
    """SHA-256 of the leaf."""
    shard: bytes | None
    """SHA-256 of the public shard; ``None`` where no file of the name is in the index."""
    listing: bytes
    """See ``leaf.listing_digest``."""
    records: int
    rejects: int
    extractor: int
    """Version of the oldest extractor among the entries."""
    oldest: int | None
    """Least ``indexed_timestamp`` of the records, ms since the epoch (CEP 48)."""
    newest: int | None


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a subdir.  The published files are a function of this alone."""

    generation: int
    at: int
    """Time of the commit, ms since the epoch.  With ``generation`` it makes the name unique."""
    public: bool
    """Whether the subdir has an index for clients.  Rejects and removals alone make none; once
    made it stays, even when it becomes empty."""
    rejects_generation: int
    """The generation in which the set of rejects last changed; 0 where there never were any."""
    names: dict[str, Node]
    info: dict[str, Any] | UnsetType = UNSET
    """What the index before sluice said for clients about the channel, in ``info`` (CEP 36);
    absent where there was nothing."""
    format: int = FORMAT

    @property
    def records(self) -> int:
        """How many files are in the index."""
        return sum(node.records for node in self.names.values())


NO_INFO: Mapping[str, Any] = {}
EMPTY = Tree(generation=0, at=0, public=False, rejects_generation=0, names={})
"""What a subdir is before its first commit."""


def encode(tree: Tree) -> bytes:
    """Serialise, with the names in order."""
    return pack(tree)


def decode(body: bytes, *, what: str) -> Tree:
    """Read a stored tree; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack(body, Tree, what=what)


def grow(
    parent: Tree,
    nodes: Mapping[str, Node | None],
    *,
    generation: int,
    at: int,
    public: bool,
    rejects_changed: bool,
    info: Mapping[str, Any] = NO_INFO,
) -> Tree:
    """The next generation: ``nodes`` replace those of their names, ``None`` drops the name.

    ``info``, if any, replaces the parent's.
    """
    names = {name: node for name, node in parent.names.items() if name not in nodes}
    names.update((name, node) for name, node in nodes.items() if node)
    return Tree(
        generation=generation,
        at=at,
        public=public,
        rejects_generation=generation if rejects_changed else parent.rejects_generation,
        names=names,
        info=dict(info) if info else parent.info,
    )


def changed_names(old: Tree, new: Tree) -> Iterator[str]:
    """The names whose leaves differ between two generations, in order."""
    for name in sorted(old.names.keys() | new.names.keys()):
        before, after = old.names.get(name), new.names.get(name)
        if (before and before.leaf) != (after and after.leaf):
            yield name
