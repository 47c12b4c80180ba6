"""An object store that hides sluice's stamp on some files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from msgspec import structs

from sluice.conda.timestamps import EpochMs
from sluice.storage.object_store import (
    ETag,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    OpenObject,
    StoredObject,
)
from sluice.storage.wrappers.forwarding import ForwardingStore


class UnstampedStore(ForwardingStore):
    """Makes the fence treat damaged files as another tool's, and so rewrite them.

    Answers untruthfully on purpose.  The fence's usual condition still holds: it replaces only the
    version that it read, and no newer one.
    """

    def __init__(self, store: ObjectStore, keys: Collection[str]) -> None:
        super().__init__(store)
        self._keys = keys
        self._written: dict[str, ETag] = {}

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        info = self._store.head(key)
        return self._without_stamp(info) if info else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        stored = self._store.get(key)
        return replace(stored, info=self._without_stamp(stored.info)) if stored else None

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:
        """See ``ObjectStore.open``."""
        with self._store.open(key, if_match=if_match) as opened:
            yield replace(opened, info=self._without_stamp(opened.info)) if opened else None

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
        etag = self._store.put_if(key, body, headers, expected=expected, not_after_ms=not_after_ms)
        if etag:
            self._written[key] = etag
        return etag

    def _without_stamp(self, info: ObjectInfo) -> ObjectInfo:
        damaged = info.key in self._keys and info.etag != self._written.get(info.key)
        return structs.replace(info, metadata={}) if damaged else info
