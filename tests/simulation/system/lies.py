"""Listings that leave out objects that are there, as a damaged index of a bucket makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from sluice.layout import Subdir
from sluice.storage.object_store import ObjectInfo, ObjectStore
from sluice.storage.wrappers.forwarding import ForwardingStore
from tests.simulation.system.packages import FILENAMES, lies_in


class LyingListings(ForwardingStore):
    """A channel bucket that sometimes shows a subdir empty, or cut short.

    ``lies`` tells how likely.  Only listings that a subdir is compared by lie, from the beginning
    of its folder or of one around it: where merge looks at what an event tells of by listing what
    lies between two files, it has nothing else to go by.
    """

    def __init__(self, store: ObjectStore, rng: Random, subdirs: Sequence[Subdir]) -> None:
        super().__init__(store)
        self.lies = 0.0
        self.has_lied = False
        self._rng = rng
        self._subdirs = subdirs

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        listed = self._store.list(prefix, delimiter=delimiter, after=after)
        inside = [subdir for subdir in self._subdirs if subdir.prefix.startswith(prefix)]
        if after is not None or not inside or not self.lies or self._rng.random() >= self.lies:
            return listed
        self.has_lied = True
        subdir, cut = self._rng.choice(inside), self._rng.choice(("", *FILENAMES))
        return (
            info
            for info in listed
            if (filename := lies_in(subdir, info.key)) is None or filename < cut
        )
