"""An object store that refuses every change."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.conda.timestamps import EpochMs
from sluice.storage.object_store import ETag, ObjectHeaders
from sluice.storage.wrappers.forwarding import ForwardingStore


class ReadOnlyStore(ForwardingStore):
    """Forwards reads.  A write is a bug of the caller, except a deletion of nothing."""

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        raise NotImplementedError

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
        raise NotImplementedError

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        if keys:
            raise NotImplementedError
