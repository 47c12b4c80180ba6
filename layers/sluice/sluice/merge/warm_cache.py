"""What one execution environment of merge remembers from one merge to the next.

Trees are immutable.  And a merge that found or brought all files to a generation has done what was
asked for before it began, whoever asked: where requests have piled up, it need not be done again.
"""

from __future__ import annotations

from sluice.catalog.head import Head
from sluice.catalog.tree import Tree
from sluice.layout import Subdir
from sluice.limits import TREES_CACHED_MAX
from sluice.storage.versioned_object import ObjectVersion


class WarmCache:
    """The last trees of some subdirs, and which of them this environment has published."""

    def __init__(self) -> None:
        self._trees: dict[Subdir, tuple[str, Tree]] = {}
        self._published: dict[Subdir, tuple[str, int]] = {}
        self._heads: dict[Subdir, ObjectVersion[Head]] = {}

    def tree(self, subdir: Subdir, digest: str) -> Tree | None:
        """The tree of that digest, if it is remembered."""
        known, tree = self._trees.get(subdir, ("", None))
        return tree if known == digest else None

    def put_tree(self, subdir: Subdir, digest: str, tree: Tree) -> None:
        """Remember the last tree of a subdir, and forget those not asked for the longest."""
        self._trees.pop(subdir, None)
        self._trees[subdir] = digest, tree
        while len(self._trees) > TREES_CACHED_MAX:
            forgotten = next(iter(self._trees))
            del self._trees[forgotten]
            self._published.pop(forgotten, None)

    def pop_head(self, subdir: Subdir) -> ObjectVersion[Head] | None:
        """The head that was kept, once."""
        return self._heads.pop(subdir, None)

    def put_head(self, subdir: Subdir, version: ObjectVersion[Head]) -> None:
        """Remember a head for one merge to begin with, which was asked for after it was read.

        It may be another's turn by then: a head is only swapped for the version that was read.
        """
        self._heads[subdir] = version

    def is_published_since(self, subdir: Subdir, digest: str, *, since_ms: int) -> bool:
        """Tell whether a merge that began after ``since_ms`` has left all files at that tree."""
        known, began_ms = self._published.get(subdir, ("", 0))
        return known == digest and began_ms > since_ms

    def mark_published(self, subdir: Subdir, digest: str, *, began_ms: int) -> None:
        """Remember that a merge that began then has left all files at that tree."""
        if subdir in self._trees:
            self._published[subdir] = digest, began_ms
