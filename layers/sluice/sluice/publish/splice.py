"""The content of an index file: spliced from its last version, or read from the leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from sluice.catalog.client_view import ClientView, RenderRules, render_view
from sluice.catalog.entry import Entries
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree, changed_names, node_chunks
from sluice.errors import Corrupt
from sluice.limits import NAMES_AT_ONCE
from sluice.publish.fence import Stamp
from sluice.publish.previous_file import PreviousFile


class FileContents(Protocol):
    """What a file says about packages."""

    def add(self, view: ClientView, /) -> None:
        """Add what clients see of one name."""
        ...

    def drop(self, entries: Entries, /) -> None:
        """Remove the files of some entries, in any form."""
        ...


C = TypeVar("C", bound=FileContents)


@dataclass(frozen=True, slots=True)
class RepodataSource:
    """The leaves of a tree, with the rules for rendering them."""

    catalog: CatalogReader
    tree: Tree
    rules: RenderRules

    @property
    def unpatched(self) -> RepodataSource:
        """The same source without the patch."""
        return replace(self, rules=self.rules.unpatched)

    def contents(
        self,
        empty: Callable[[], C],
        decode: Callable[[bytes], C],
        previous: PreviousFile | None,
        *,
        count: int | None = None,
    ) -> C:
        """The content, from the previous file if possible, else from the leaves.

        ``count``: see ``splice``.
        """
        spliced = self.splice(decode, previous, count=count) if previous else None
        if spliced is not None:
            return spliced
        contents = empty()
        for entries in self._all_entries():
            contents.add(render_view(entries, self.rules))
        return contents

    def splice(
        self, decode: Callable[[bytes], C], previous: PreviousFile, *, count: int | None = None
    ) -> C | None:
        """The content from the previous file; ``None`` if that is impossible or takes longer.

        ``count``: the expected number of records.  Another number shows that the previous file was
        not what its stamp says.
        """
        contents = self._splice(decode, previous)
        return contents if count in (None, getattr(contents, "count", None)) else None

    def is_prefetched(self, previous: PreviousFile) -> bool:
        """Whether splicing needs no requests."""
        stamp = Stamp.parse(previous.info.metadata)
        if stamp is None or not self.catalog.is_tree_cached(stamp.tree):
            return False
        old_tree = self.tree_of(previous)
        return old_tree is not None and not self.catalog.count_unread(self._changed_nodes(old_tree))

    def tree_of(self, previous: PreviousFile | None) -> Tree | None:
        """The tree that a file of ours was rendered from; ``None`` if it cannot be read."""
        stamp = Stamp.parse(previous.info.metadata) if previous else None
        try:
            tree = self.catalog.find_tree(stamp.tree) if stamp else None
        except Corrupt:
            return None
        return tree if stamp and tree and tree.generation == stamp.generation else None

    def _splice(self, decode: Callable[[bytes], C], previous: PreviousFile) -> C | None:
        old_tree = self.tree_of(previous)
        if old_tree is None:
            return None
        names = list(changed_names(old_tree, self.tree))
        unread = self.catalog.count_unread(self._changed_nodes(old_tree))
        if unread > self.catalog.count_unread(self.tree.shown.values()):
            return None
        try:
            contents = decode(previous.content())
            for nodes in node_chunks(map(old_tree.names.get, names), NAMES_AT_ONCE):
                for entries in self.catalog.entries(nodes):
                    contents.drop(entries)
        except Corrupt:
            # Other bytes under our metadata, or leaves that were collected: this is only a cache.
            return None
        for nodes in node_chunks(map(self.tree.names.get, names), NAMES_AT_ONCE):
            for entries in self.catalog.entries(nodes):
                contents.add(render_view(entries, self.rules))
        return contents

    def _changed_nodes(self, old_tree: Tree) -> list[Node | None]:
        """The new and the old nodes of each changed name."""
        names = list(changed_names(old_tree, self.tree))
        return [tree.names.get(name) for tree in (old_tree, self.tree) for name in names]

    def _all_entries(self) -> Iterator[Entries]:
        for nodes in node_chunks(self.tree.shown.values(), NAMES_AT_ONCE):
            yield from self.catalog.entries(nodes)
