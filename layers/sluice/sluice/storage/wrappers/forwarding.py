"""An object store that forwards every request to another: a base class for wrappers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from sluice.conda.timestamps import EpochMs
from sluice.storage.object_store import (
    DeferredPut,
    ETag,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    OpenObject,
    PreparedPut,
    StoredObject,
)


class ForwardingStore:
    """An ``ObjectStore`` over another one."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def now_ms(self) -> EpochMs:
        """See ``ObjectStore.now_ms``."""
        return self._store.now_ms()

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

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``ObjectStore.get_range``."""
        return self._store.get_range(key, start, length)

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        self._store.put(key, body, headers)

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: EpochMs | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        return self._store.put_if(key, body, headers, expected=expected, not_after_ms=not_after_ms)

    def prepare_put(
        self, key: str, body: bytes, headers: ObjectHeaders, *, expected: ETag | None
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put``."""
        return DeferredPut(self, key, body, headers, expected)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        self._store.delete(keys)

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        return self._store.list(prefix, delimiter=delimiter, after=after)
