"""An object store that shows one folder of a bucket as a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from msgspec import structs

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


class PrefixedStore:
    """An ``ObjectStore`` that adds a prefix to every key, and hides it from the caller."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        """``prefix`` ends with a slash."""
        self._store = store
        self._prefix = prefix

    def now_ms(self) -> EpochMs:
        """See ``ObjectStore.now_ms``."""
        return self._store.now_ms()

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        info = self._store.head(self._prefix + key)
        return self._without_prefix(info) if info else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        stored = self._store.get(self._prefix + key)
        return replace(stored, info=self._without_prefix(stored.info)) if stored else None

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:
        """See ``ObjectStore.open``."""
        with self._store.open(self._prefix + key, if_match=if_match) as opened:
            yield replace(opened, info=self._without_prefix(opened.info)) if opened else None

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``."""
        return self._store.read_range(self._prefix + key, start, length, if_match=if_match)

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``ObjectStore.get_range``."""
        return self._store.get_range(self._prefix + key, start, length)

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        self._store.put(self._prefix + key, body, headers)

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
        return self._store.put_if(
            self._prefix + key,
            body,
            headers,
            expected=expected,
            not_after_ms=not_after_ms,
        )

    def prepare_put(
        self, key: str, body: bytes, headers: ObjectHeaders, *, expected: ETag | None
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put``."""
        return DeferredPut(self, key, body, headers, expected)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        self._store.delete([self._prefix + key for key in keys])

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        after_key = None if after is None else self._prefix + after
        for info in self._store.list(self._prefix + prefix, delimiter=delimiter, after=after_key):
            yield self._without_prefix(info)

    def _without_prefix(self, info: ObjectInfo) -> ObjectInfo:
        return structs.replace(info, key=info.key.removeprefix(self._prefix))
