"""Requests that are begun before whoever needs them asks, so that one waits for all of them once.

Only for those to whom it does not matter how long ago they looked, as reconcile, which tells
nothing but hints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from sluice.concurrency import Gather, Started
from sluice.storage.object_store import ObjectInfo, ObjectStore, StoredObject
from sluice.storage.wrappers.forwarding import Passing

T = TypeVar("T")


class Foreseen(Passing):
    """A bucket of which some things are being looked at already, each for one who asks."""

    def __init__(self, store: ObjectStore, gather: Gather) -> None:
        super().__init__(store)
        self._gather = gather
        self._begun: dict[tuple[str, str], Started[Any]] = {}

    def begin_head(self, key: str) -> None:
        """Begin to look at an object."""
        self._begun["head", key] = self._gather.start(partial(self._store.head, key))

    def begin_get(self, key: str) -> None:
        """Begin to read an object."""
        self._begun["get", key] = self._gather.start(partial(self._store.get, key))

    def begin_list(self, prefix: str) -> None:
        """Begin to list what begins with ``prefix``, as far as a first object."""
        self._begun["list", prefix] = self._gather.start(partial(self._first, prefix))

    def keep(self, key: str, stored: StoredObject | None) -> None:
        """Keep what was read already."""
        self._begun["get", key] = lambda: stored

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        return self._seen("head", key, partial(self._store.head, key))

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        return self._seen("get", key, partial(self._store.get, key))

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        begun = None if after or delimiter else self._begun.pop(("list", prefix), None)
        if begun is None:
            return self._store.list(prefix, delimiter=delimiter, after=after)
        first: ObjectInfo | None = begun()
        return self._from(prefix, first) if first else iter(())

    def _from(self, prefix: str, first: ObjectInfo) -> Iterator[ObjectInfo]:
        yield first
        yield from self._store.list(prefix, after=first.key)

    def _first(self, prefix: str) -> ObjectInfo | None:
        return next(iter(self._store.list(prefix)), None)

    def _seen(self, how: str, key: str, look: Callable[[], T]) -> T:
        begun: Started[T] | None = self._begun.pop((how, key), None)
        return begun() if begun else look()
