"""The tree of one generation: for each package name, the references to its leaf and its shard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import compress_packed, pack_plain, unpack_struct
from sluice.catalog.pack import LeafPlace
from sluice.concurrency import weighted_chunks
from sluice.conda.timestamps import EpochMs
from sluice.limits import FILES_AT_ONCE
from sluice.storage.object_id import ObjectId

FORMAT = 2
"""The newest format of trees that this version reads.

Written is the oldest that can say what must be said (``format_of``).  1: each leaf is an object of
its own.  2: leaves may be in packs."""

_OLDEST_FORMAT = 1


class NodeExtras(msgspec.Struct, frozen=True, array_like=True):
    """Unusual facts about the records of one name.  Stored as an array, as ``Node`` is."""

    visible_records: int
    """Records that clients see: a patch or the configuration may remove some, and records of
    another tool may be added."""
    v3: int
    """Records that are in revision 3 of repodata (CEP 48)."""
    v3_oldest: EpochMs | None
    """Least ``indexed_timestamp`` of those."""
    v3_newest: int | None
    warnings: int
    """Records with an impossible ``timestamp`` (CEP 47)."""
    other_warnings: int = 0
    """All other warnings about files of the name."""
    shard_bytes: int = 0
    """Size of the shard without compression, if it is more than conda reads; else 0."""
    hidden_by_revision: int = 0
    """Records that the configuration rejects because they need revision 3 (CEP 48)."""


class Node(msgspec.Struct, frozen=True, array_like=True):
    """One package name.  Stored as an array: new fields go to the end and have defaults."""

    leaf: bytes
    """SHA-256 of the leaf."""
    shard: bytes | None
    """SHA-256 of the public shard; ``None`` if no file of the name is in the index."""
    listing: bytes
    """The digest of ``entry.listing_digest``."""
    records: int
    rejects: int
    extractor: int
    """Version of the oldest extractor among the entries."""
    oldest: EpochMs | None
    """Least ``indexed_timestamp`` of the records (CEP 48)."""
    newest: EpochMs | None
    extras: NodeExtras | None = None
    """``None``: all records are shown, none is in revision 3, and there are no warnings."""
    only_rejects: bool = False
    """Whether the leaf has nothing but rejects.  No index file shows any of it, so most readers can
    do without."""
    large_bytes: int = 0
    """Bytes of its large records (``entry.large_record_bytes``).  0 in nodes from before there was
    this field."""
    place: LeafPlace | None = None
    """Where the leaf is in a pack; ``None``: the leaf is an object of its own."""

    @property
    def visible_records(self) -> int:
        """Number of records that clients see."""
        return self.extras.visible_records if self.extras else self.records

    @property
    def files(self) -> int:
        """Number of known files, including rejected ones."""
        return self.records + self.rejects


def node_chunks(nodes: Iterable[Node | None], size: int) -> Iterator[list[Node | None]]:
    """Split nodes so that the leaves of each list fit into memory together."""
    return weighted_chunks(
        nodes, size, weight=lambda node: node.files if node else 0, weight_max=FILES_AT_ONCE
    )


def format_of(nodes: Iterable[Node | None]) -> int:
    """The oldest format that can store some nodes."""
    return FORMAT if any(node and node.place for node in nodes) else _OLDEST_FORMAT


_EXTRAS = Node.__struct_fields__.index("extras")
_EXTRAS_FIELDS_MIN = NodeExtras.__struct_fields__.index("other_warnings")


class ActiveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration under which a generation was made."""

    seen: ObjectId | None
    """The ``sluice.toml`` that was read last, valid or not; ``None``: there was none."""
    digest: str | None
    """SHA-256 of the active one; ``None``: only the defaults."""
    settings: dict[str, Any]
    """The resulting settings, see ``channel_config.config_to_dict``."""
    defaults: str
    """``channel_config.config_fingerprint`` of the stack's defaults that were used."""


class ActivePatch(msgspec.Struct, frozen=True, kw_only=True):
    """The patch package under which a generation was made."""

    package: str
    """Its filename, in ``noarch``."""
    sha256: str
    """SHA-256 of the package."""
    instructions: str | None
    """Digest of its instructions for this subdir, see ``Subdir.patches``; ``None``: none."""
    at: EpochMs
    """Time of the commit from which on it is active."""


class InputProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration or a patch that cannot be used; the last good one stays active."""

    filename: str
    identity: ObjectId
    code: str
    sentence: str
    at: EpochMs
    """When the problem was found."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a generation besides its packages."""

    config: ActiveConfig
    patch: ActivePatch | None
    problems: list[InputProblem]
    """Problems of the channel; only ``noarch`` lists them."""
    renderer: int
    """Version of the renderer of its shards."""
    warnings: list[InputProblem] | UnsetType = UNSET
    """Problems of a configuration that is active all the same; only ``noarch`` lists them, if there
    are any."""


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a subdir.  The published files are a function of this alone."""

    generation: int
    at: EpochMs
    """Time of the commit.  With ``generation`` it makes the digest unique."""
    public: bool
    """Whether the subdir has an index for clients.  Rejects and removals alone do not create one.
    Once created it stays, even when it becomes empty."""
    rejects_generation: int
    """The generation in which the set of rejects last changed; 0 if there never were any."""
    names: dict[str, Node]
    info: dict[str, Any] | UnsetType = UNSET
    """The channel's part of ``info`` (CEP 36) in the index from before sluice; absent if there was
    none."""
    inputs: Inputs | UnsetType = UNSET
    """Absent until the subdir is public, and in trees from before there was a configuration."""
    pinned: list[str] | UnsetType = UNSET
    """The names that have pins, in order.  Absent if that is not known, as in a tree that descends
    from one of sluice 0.1."""
    format: int = _OLDEST_FORMAT
    """``format_of`` its nodes."""

    @property
    def names_with_pins(self) -> Collection[str]:
        """The names that have pins, or all names if it is not known which."""
        return self.names if self.pinned is UNSET else self.pinned

    @property
    def records(self) -> int:
        """Number of files in the index."""
        return sum(node.records for node in self.names.values())

    @property
    def has_records(self) -> bool:
        """Whether there is any file in the index, also if a patch hides it from clients."""
        return any(node.records for node in self.names.values())

    @property
    def rejects(self) -> int:
        """Number of known files that cannot be indexed."""
        return sum(node.rejects for node in self.names.values())

    @property
    def large_bytes(self) -> int:
        """Bytes of all large records, as far as they are counted."""
        return sum(node.large_bytes for node in self.names.values())

    @property
    def files(self) -> int:
        """Number of known files, including rejected ones."""
        return sum(node.files for node in self.names.values())

    @property
    def shown(self) -> dict[str, Node]:
        """The names of which index files may show anything: those with more than rejects."""
        return {name: node for name, node in self.names.items() if not node.only_rejects}

    @property
    def visible_records(self) -> int:
        """Number of records that clients see."""
        return sum(node.visible_records for node in self.names.values())


_NODE_FIELDS_MIN = sum(field.required for field in msgspec.structs.fields(Node))
"""Fields of a node that are always stored."""
NO_INFO: Mapping[str, Any] = {}
EMPTY_TREE = Tree(generation=0, at=0, public=False, rejects_generation=0, names={})
"""The tree of a subdir before its first commit."""


def encode_tree(tree: Tree) -> bytes:
    """Serialize, with the names in order."""
    plain = msgspec.to_builtins(tree, builtin_types=(bytes,), order="deterministic")
    plain["format"] = max(tree.format, format_of(tree.names.values()))
    for node in plain["names"].values():
        while len(node) > _NODE_FIELDS_MIN and not node[-1]:
            node.pop()  # half a million of them stay as short as possible
        extras = node[_EXTRAS] if len(node) > _EXTRAS else None
        while extras and len(extras) > _EXTRAS_FIELDS_MIN and not extras[-1]:
            extras.pop()
    return compress_packed(pack_plain(plain), what="the tree")


def decode_tree(body: bytes, *, what: str) -> Tree:
    """Parse a stored tree; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    tree = unpack_struct(body, Tree, newest=FORMAT, what=what)
    if tree.format > _OLDEST_FORMAT:
        share_pack_digests(tree.names.values())
    return tree


def share_pack_digests(nodes: Iterable[Node | None]) -> None:
    """Have places in the same pack share its digest in memory."""
    digests: dict[bytes, bytes] = {}
    for node in nodes:
        if node and node.place:
            digest = digests.setdefault(node.place.pack, node.place.pack)
            msgspec.structs.force_setattr(node.place, "pack", digest)


def next_tree(  # noqa: PLR0913 - a generation is made of that much
    parent: Tree,
    nodes: Mapping[str, Node | None],
    *,
    generation: int,
    at: EpochMs,
    public: bool,
    rejects_changed: bool,
    info: Mapping[str, Any] = NO_INFO,
    inputs: Inputs | UnsetType = UNSET,
    pinned: AbstractSet[str] = frozenset(),
) -> Tree:
    """The next generation: ``nodes`` replace those of their names, ``None`` drops the name.

    ``pinned``: those of the names in ``nodes`` that have pins.  ``info`` and ``inputs``, if given,
    replace the parent's.
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
        inputs=inputs or parent.inputs,
        pinned=_pinned_names(parent, nodes.keys(), pinned),
        format=format_of(names.values()),
    )


def _pinned_names(
    parent: Tree, changed: AbstractSet[str], pinned: AbstractSet[str]
) -> list[str] | UnsetType:
    kept = parent.names.keys() - changed
    if parent.pinned is UNSET:
        return UNSET if kept else sorted(pinned)
    return sorted(kept.intersection(parent.pinned) | pinned)


def changed_names(old: Tree, new: Tree) -> Iterator[str]:
    """The names whose leaves differ between two generations, in order."""
    for name in sorted(old.names.keys() | new.names.keys()):
        before, after = old.names.get(name), new.names.get(name)
        if (before and before.leaf) != (after and after.leaf):
            yield name
