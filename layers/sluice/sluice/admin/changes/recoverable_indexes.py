"""Hides index files from which the catalog of a subdir cannot recover records."""

from __future__ import annotations

from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectInfo, ObjectStore, StoredObject
from sluice.storage.wrappers.forwarding import ForwardingStore


class RecoverableIndexes(ForwardingStore):
    """Hides the index files of one subdir that another tool wrote, or that the state knows.

    A catalog accepts another tool's index only if requested (``adopt``).  And the catalog was made
    from every file that sluice published from a tree in the state: what it lacks was removed on
    purpose.
    """

    def __init__(self, store: ObjectStore, state: ObjectStore, subdir: Subdir) -> None:
        super().__init__(store)
        self._state = state
        self._subdir = subdir
        self._keys = {subdir.file_key(file) for file in (REPODATA, REPODATA_ZST, SHARD_INDEX)}

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        info = self._store.head(key)
        return info if info and self._is_visible(info) else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        stored = self._store.get(key)
        return stored if stored and self._is_visible(stored.info) else None

    def _is_visible(self, info: ObjectInfo) -> bool:
        if info.key not in self._keys:
            return True
        stamp = Stamp.parse(info.metadata)
        return stamp is not None and self._state.head(self._subdir.tree_key(stamp.tree)) is None
