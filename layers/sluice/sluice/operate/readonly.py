"""A bucket in which nothing can be changed, whoever tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from sluice.store import ETag, Headers, ObjectInfo, ObjectStore, OpenObject, StoredObject, nothing


class ReadOnly:
    """Passes reads on.  A write is a mistake of ours, but for deleting nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        return self._store.head(key)

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        return self._store.get(key)

    def open(
        self, key: str, *, if_match: ETag | None = None
    ) -> AbstractContextManager[OpenObject | None]:
        """See ``ObjectStore.open``."""
        return self._store.open(key, if_match=if_match)

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``."""
        return self._store.read_range(key, start, length, if_match=if_match)

    def put(self, key: str, body: bytes, headers: Headers) -> None:
        """See ``ObjectStore.put``."""
        raise NotImplementedError

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        *,
        expected: ETag | None,
        before: Callable[[], None] = nothing,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        raise NotImplementedError

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        if keys:
            raise NotImplementedError

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        return self._store.list(prefix, delimiter=delimiter, after=after)
