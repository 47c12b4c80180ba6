"""Cached reads of trees and leaves, each at most once, because they are immutable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from sluice import channel_config
from sluice.catalog import entry as leaves
from sluice.catalog import patch_object
from sluice.catalog import tree as trees
from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.entry import Entries
from sluice.catalog.leaf_reader import LeafReader, is_intact, stored_key
from sluice.catalog.tree import EMPTY_TREE, Node, Tree
from sluice.concurrency import Executor, Pending
from sluice.conda.patch import PatchInstructions
from sluice.errors import Corrupt, Missing
from sluice.layout import Subdir
from sluice.limits import FILES_CACHED_MAX, LEAVES_CACHED_MAX
from sluice.storage.object_store import ObjectStore

_ReadLeaves = dict[bytes, Entries | Corrupt]
"""The entries of leaves that were read, or what is wrong with them, by digest."""


class CatalogReader:
    """Reads trees and leaves of one subdir, and caches them for one merge."""

    def __init__(self, state: ObjectStore, subdir: Subdir, executor: Executor) -> None:
        self._state = state
        self._subdir = subdir
        self._executor = executor
        self._trees: dict[str, Tree] = {}
        self._leaves: dict[bytes, Entries] = {}
        self._files_cached = 0
        """Files in these leaves."""
        self._leaf_reader = LeafReader(state, subdir)
        self._pending: dict[bytes, Pending[_ReadLeaves]] = {}
        self._patches: dict[str, PatchInstructions] = {}

    def tree(self, digest: str | None) -> Tree:
        """The tree with that digest; raises ``Missing`` and ``Corrupt``."""
        if digest is None:
            return EMPTY_TREE
        tree = self.find_tree(digest)
        if tree is None:
            raise Missing(self._subdir.tree_key(digest), kind="tree", referrer="a commit")
        return tree

    def find_tree(self, digest: str) -> Tree | None:
        """The tree with that digest, or ``None`` if it was collected."""
        if digest not in self._trees:
            key = self._subdir.tree_key(digest)
            stored = self._state.get(key)
            if stored is None:
                return None
            self._trees[digest] = trees.decode_tree(stored.body, what=key)
        return self._trees[digest]

    def is_tree_cached(self, digest: str) -> bool:
        """Whether the tree with that digest is cached."""
        return digest in self._trees

    def prefetch(self, nodes: Iterable[Node | None]) -> None:
        """Start to read leaves that will be needed."""
        unread = self._unread(node for node in nodes if node and node.leaf not in self._pending)
        for group in self._leaf_reader.plan_reads(unread):
            pending = self._executor.submit(partial(self._read_group, group))
            self._pending |= {node.leaf: pending for node in group}

    def count_unread(self, nodes: Iterable[Node | None]) -> int:
        """Number of leaves that are not cached, among those of these nodes."""
        return sum(node is not None and node.leaf not in self._leaves for node in nodes)

    def entries(self, nodes: Iterable[Node | None]) -> list[Entries]:
        """The entries of each node's leaf, empty for ``None``; raises ``Missing``, ``Corrupt``."""
        requested = list(nodes)
        read: _ReadLeaves = {}
        for node in requested:
            if node and (pending := self._pending.pop(node.leaf, None)):
                read[node.leaf] = pending()[node.leaf]
        unread = [node for node in self._unread(requested) if node.leaf not in read]
        for leaves_of_group in self._executor.map(
            self._read_group, self._leaf_reader.plan_reads(unread)
        ):
            read |= leaves_of_group
        return [self._take_entries(node, read) for node in requested]

    def rules(self, tree: Tree) -> RenderRules:
        """What decides, besides its leaves, what clients see of a tree.

        Raises ``Missing`` and ``Corrupt``.
        """
        if not tree.inputs:
            return NO_RULES
        patch = tree.inputs.patch
        return RenderRules(
            config=channel_config.config_from_dict(tree.inputs.config.settings),
            instructions=self._instructions(patch.instructions) if patch else None,
        )

    def cache_instructions(self, digest: str, instructions: PatchInstructions) -> None:
        """Cache instructions that were just written."""
        self._patches[digest] = instructions

    def _instructions(self, digest: str | None) -> PatchInstructions | None:
        if digest is None:
            return None
        if digest not in self._patches:
            key = self._subdir.patches.key(digest)
            stored = self._state.get(key)
            if stored is None:
                raise Missing(key, kind="patch", referrer="a tree")
            self._patches[digest] = patch_object.decode_patch(stored.body, what=key)
        return self._patches[digest]

    def cache_tree(self, digest: str, tree: Tree) -> None:
        """Cache a tree that was just written."""
        self._trees[digest] = tree

    def cache_entries(self, node: Node, entries: Entries) -> None:
        """Cache the entries of a leaf, up to a limit."""
        files = self._files_cached + len(entries)
        if len(self._leaves) < LEAVES_CACHED_MAX and files <= FILES_CACHED_MAX:
            if node.leaf not in self._leaves:
                self._files_cached = files
            self._leaves[node.leaf] = entries

    def _unread(self, nodes: Iterable[Node | None]) -> list[Node]:
        """The nodes whose leaves are not cached, each leaf once."""
        return list(
            {node.leaf: node for node in nodes if node and node.leaf not in self._leaves}.values()
        )

    def _take_entries(self, node: Node | None, read: _ReadLeaves) -> Entries:
        """The entries of a node whose leaf is cached or was just read."""
        if node is None:
            return {}
        entries = read.get(node.leaf)
        if isinstance(entries, Corrupt):
            raise entries
        if entries is None:
            return self._leaves[node.leaf]
        self.cache_entries(node, entries)
        return entries

    def _read_group(self, group: Sequence[Node]) -> _ReadLeaves:
        """Read the leaves of one group of ``LeafReader.plan_reads``.

        A damaged leaf damages no other: its error is in the result.
        """
        read: _ReadLeaves = {}
        for node, body in zip(group, self._leaf_reader.read_group(group), strict=True):
            try:
                read[node.leaf] = self._decode_leaf(node, body)
            except Corrupt as error:
                read[node.leaf] = error
        return read

    def _decode_leaf(self, node: Node, body: bytes | None) -> Entries:
        key = stored_key(self._subdir, node)
        if body is None:
            raise Missing(key, kind="pack" if node.place else "leaf", referrer="a tree")
        if node.place is None:
            return leaves.decode_leaf(body, what=key).entries
        what = f"{key}, at offset {node.place.offset}"
        if not is_intact(body, node):
            raise Corrupt(f"{what}: the bytes do not match the digest of leaf {node.leaf.hex()}")
        return leaves.decode_leaf(body, what=what).entries
