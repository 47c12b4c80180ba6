"""An object store that sends GET requests before their objects are wanted.

One thread then waits for many responses at once.  Threads that wait for one each take turns at
Python's interpreter lock, which costs more than a small request.  What was read ahead is as old as
its request, so use it only where that does no harm: extract makes claims, and merge looks again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from sluice.storage.object_store import BeginsReads, BegunRead, ETag, ObjectStore, OpenObject
from sluice.storage.wrappers.forwarding import ForwardingStore


class ReadingAhead(ForwardingStore):
    """An object store for one thread.  ``drop`` must be called in the end."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self._begins = store if isinstance(store, BeginsReads) else None
        self._begun: dict[str, BegunRead] = {}

    def begin(self, key: str) -> None:
        """Send the request for an object, if the store can send it ahead."""
        if self._begins is not None:
            self._begun[key] = self._begins.begin_open(key)

    def open(
        self, key: str, *, if_match: ETag | None = None
    ) -> AbstractContextManager[OpenObject | None]:
        """See ``ObjectStore.open``.  What was begun is used once."""
        begun = self._begun.pop(key, None) if if_match is None else None
        return begun.opened() if begun else self._store.open(key, if_match=if_match)

    def drop(self) -> None:
        """Do without the objects that were begun and not opened."""
        while self._begun:
            self._begun.popitem()[1].drop()
