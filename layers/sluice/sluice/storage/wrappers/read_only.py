"""A bucket in which nothing can be changed, whoever tries."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.storage.object_store import ETag, ObjectHeaders
from sluice.storage.wrappers.forwarding import ForwardingStore


class ReadOnlyStore(ForwardingStore):
    """Passes reads on.  A write is a mistake of ours, but for deleting nothing."""

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
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        raise NotImplementedError

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        if keys:
            raise NotImplementedError
