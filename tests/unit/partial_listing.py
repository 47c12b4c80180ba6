"""A store in memory whose listings leave out objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sluice.storage.object_store import ObjectInfo
from testkit.memory_store import MemoryStore


class PartialListingStore(MemoryStore):
    """The same objects as another store's; ``hides`` tells which keys no listing shows."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store._clock, page_size=store._page_size)
        self.objects = store.objects
        self.hides: Callable[[str], bool] = lambda _key: False

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        for info in super().list(prefix, delimiter=delimiter, after=after):
            if not self.hides(info.key):
                yield info
