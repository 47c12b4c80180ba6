"""The cache of a merge's execution environment, kept from one merge to the next.

Trees are immutable, so they can be cached.  A merge that leaves all files at a generation has also
fulfilled every request made before it began.  Of piled-up requests, the rest need no work.
"""

from __future__ import annotations

from sluice.catalog.head import Head
from sluice.catalog.tree import Tree
from sluice.conda.timestamps import EpochMs
from sluice.layout import Subdir
from sluice.limits import TREES_CACHED_MAX
from sluice.storage.versioned_object import ObjectVersion


class WarmCache:
    """The latest trees of some subdirs, and which of them this environment has published."""

    def __init__(self) -> None:
        self._trees: dict[Subdir, tuple[str, Tree]] = {}
        self._published: dict[Subdir, tuple[str, int]] = {}
        self._heads: dict[Subdir, ObjectVersion[Head]] = {}

    def tree(self, subdir: Subdir, digest: str) -> Tree | None:
        """The tree with that digest, if it is cached."""
        known, tree = self._trees.get(subdir, ("", None))
        return tree if known == digest else None

    def latest_tree(self, subdir: Subdir) -> Tree | None:
        """The cached tree of a subdir, whichever it is."""
        return self._trees.get(subdir, ("", None))[1]

    def put_tree(self, subdir: Subdir, digest: str, tree: Tree) -> None:
        """Cache the latest tree of a subdir, and evict the least recently used."""
        self._trees.pop(subdir, None)
        self._trees[subdir] = digest, tree
        while len(self._trees) > TREES_CACHED_MAX:
            forgotten = next(iter(self._trees))
            del self._trees[forgotten]
            self._published.pop(forgotten, None)

    def pop_head(self, subdir: Subdir) -> ObjectVersion[Head] | None:
        """Return the cached head and remove it."""
        return self._heads.pop(subdir, None)

    def put_head(self, subdir: Subdir, version: ObjectVersion[Head]) -> None:
        """Cache a head for one merge that was requested after this head was read.

        Another merge may commit in between, but a head is only swapped for the version that was
        read.
        """
        self._heads[subdir] = version

    def is_published_since(self, subdir: Subdir, digest: str, *, since_ms: EpochMs) -> bool:
        """Whether a merge that began after ``since_ms`` left all files at that tree."""
        known, began_ms = self._published.get(subdir, ("", 0))
        return known == digest and began_ms > since_ms

    def mark_published(self, subdir: Subdir, digest: str, *, began_ms: EpochMs) -> None:
        """Record that a merge that began then left all files at that tree."""
        if subdir in self._trees:
            self._published[subdir] = digest, began_ms
