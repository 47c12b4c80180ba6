"""An object store that sends requests ahead of time, so that callers wait for all of them once.

Prefetched answers may be stale.  Use it only where that does no harm, as in reconcile, which
produces only hints.
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
    """An object store that answers some requests from prefetched results, each of them once."""

    def __init__(self, store: ObjectStore, executor: Executor) -> None:
        super().__init__(store)
        self._executor = executor
        self._pending: dict[tuple[str, str], Pending[Any]] = {}

    def prefetch_head(self, key: str) -> None:
        """Start a HEAD of an object."""
        self._pending["head", key] = self._executor.submit(partial(self._store.head, key))

    def prefetch_get(self, key: str) -> None:
        """Start to read an object."""
        self._pending["get", key] = self._executor.submit(partial(self._store.get, key))

    def prefetch_list(self, prefix: str) -> None:
        """Start to list the keys that begin with ``prefix``, as far as the first object."""
        self._pending["list", prefix] = self._executor.submit(partial(self._first_object, prefix))

    def add_prefetched(self, key: str, stored: StoredObject | None) -> None:
        """Add the result of an earlier read."""
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
