"""A channel bucket that shows only index files from which its catalog can learn something."""

from __future__ import annotations

from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectInfo, ObjectStore, StoredObject
from sluice.storage.wrappers.forwarding import Passing


class UnknownIndexes(Passing):
    """Hides the index files of one subdir that another tool wrote, or that the state knows.

    A catalog believes another tool only where it is told to (``adopt``).  What sluice published of
    a tree that the state has, the catalog was made from: it has taken out on purpose what it lacks.
    """

    def __init__(self, store: ObjectStore, state: ObjectStore, subdir: Subdir) -> None:
        super().__init__(store)
        self._state = state
        self._subdir = subdir
        self._keys = {subdir.public(file) for file in (REPODATA, REPODATA_ZST, SHARD_INDEX)}

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        found = self._store.head(key)
        return found if found and self._is_shown(found) else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        found = self._store.get(key)
        return found if found and self._is_shown(found.info) else None

    def _is_shown(self, info: ObjectInfo) -> bool:
        if info.key not in self._keys:
            return True
        stamp = Stamp.parse(info.metadata)
        return stamp is not None and self._state.head(self._subdir.tree(stamp.tree)) is None
