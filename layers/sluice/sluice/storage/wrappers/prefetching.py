"""Requests that are begun before whoever needs them asks, so that one waits for all of them once.

Only for those to whom it does not matter how long ago they looked, as reconcile, which tells
nothing but hints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from sluice.concurrency import Executor, Pending
from sluice.storage.object_store import ObjectInfo, ObjectStore, StoredObject
from sluice.storage.wrappers.forwarding import ForwardingStore

T = TypeVar("T")


class PrefetchingStore(ForwardingStore):
    """A bucket of which some things are being looked at already, each for one who asks."""

    def __init__(self, store: ObjectStore, executor: Executor) -> None:
        super().__init__(store)
        self._executor = executor
        self._pending: dict[tuple[str, str], Pending[Any]] = {}

    def prefetch_head(self, key: str) -> None:
        """Begin to look at an object."""
        self._pending["head", key] = self._executor.submit(partial(self._store.head, key))

    def prefetch_get(self, key: str) -> None:
        """Begin to read an object."""
        self._pending["get", key] = self._executor.submit(partial(self._store.get, key))

    def prefetch_list(self, prefix: str) -> None:
        """Begin to list what begins with ``prefix``, as far as a first object."""
        self._pending["list", prefix] = self._executor.submit(partial(self._first_object, prefix))

    def add_prefetched(self, key: str, stored: StoredObject | None) -> None:
        """Keep what was read already."""
        self._pending["get", key] = lambda: stored

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        return self._pop_or("head", key, partial(self._store.head, key))

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        return self._pop_or("get", key, partial(self._store.get, key))

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        pending = None if after or delimiter else self._pending.pop(("list", prefix), None)
        if pending is None:
            return self._store.list(prefix, delimiter=delimiter, after=after)
        first: ObjectInfo | None = pending()
        return self._list_from(prefix, first) if first else iter(())

    def _list_from(self, prefix: str, first: ObjectInfo) -> Iterator[ObjectInfo]:
        yield first
        yield from self._store.list(prefix, after=first.key)

    def _first_object(self, prefix: str) -> ObjectInfo | None:
        return next(iter(self._store.list(prefix)), None)

    def _pop_or(self, method: str, key: str, request: Callable[[], T]) -> T:
        pending: Pending[T] | None = self._pending.pop((method, key), None)
        return pending() if pending else request()
