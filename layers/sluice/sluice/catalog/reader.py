"""Cached reads of trees and leaves, each at most once, because they are immutable."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sluice import channel_config
from sluice.catalog import entry as leaves
from sluice.catalog import patch_object
from sluice.catalog import tree as trees
from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.entry import Entries
from sluice.catalog.tree import EMPTY_TREE, Node, Tree
from sluice.concurrency import Executor, Pending
from sluice.conda.patch import PatchInstructions
from sluice.errors import Missing
from sluice.layout import Subdir
from sluice.limits import FILES_CACHED_MAX, LEAVES_CACHED_MAX
from sluice.storage.object_store import ObjectStore


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
        self._pending: dict[bytes, Pending[Entries]] = {}
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
        for node in nodes:
            if node and node.leaf not in self._leaves and node.leaf not in self._pending:
                self._pending[node.leaf] = self._executor.submit(partial(self._read_leaf, node))

    def count_unread(self, nodes: Iterable[Node | None]) -> int:
        """Number of leaves that are not cached, among those of these nodes."""
        return sum(node is not None and node.leaf not in self._leaves for node in nodes)

    def entries(self, nodes: Iterable[Node | None]) -> list[Entries]:
        """The entries of each node's leaf, empty for ``None``; raises ``Missing``, ``Corrupt``."""
        requested = list(nodes)
        for node in requested:
            if node and (pending := self._pending.pop(node.leaf, None)):
                self.cache_entries(node, pending())
        if not self.count_unread(requested):
            return [self._node_entries(node) for node in requested]
        return self._executor.map(self._node_entries, requested)

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

    def _node_entries(self, node: Node | None) -> Entries:
        if node is None:
            return {}
        cached = self._leaves.get(node.leaf)
        if cached is not None:
            return cached
        entries = self._read_leaf(node)
        self.cache_entries(node, entries)
        return entries

    def _read_leaf(self, node: Node) -> Entries:
        key = self._subdir.leaf_key(node.leaf.hex())
        stored = self._state.get(key)
        if stored is None:
            raise Missing(key, kind="leaf", referrer="a tree")
        return leaves.decode_leaf(stored.body, what=key).entries
