"""Selects which files to read again that the catalog of a subdir does not know.  Pure.

A subdir that is full of rejects may have any number of files that no catalog notes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from heapq import heappush, heapreplace
from typing import NamedTuple

from sluice.reconcile.listing import Listing
from sluice.storage.object_id import ObjectId


class UnknownFile(NamedTuple):
    """A file that the catalog does not know.  The newest is the greatest."""

    modified: int
    """LastModified, seconds since the epoch."""
    filename: str
    size: int
    """Bytes."""


class NewestUnknownFiles:
    """Keeps the newest of all unknown files.

    A flood of files that cannot be indexed ends at some time.  What is uploaded after it comes
    first.
    """

    def __init__(self, listing: Listing, count_max: int) -> None:
        """``count_max``: number of files to keep."""
        self._listing = listing
        self._count_max = count_max
        self.count = 0
        """Number of all unknown files."""
        self._heap: list[UnknownFile] = []

    @property
    def newest(self) -> list[UnknownFile]:
        """The newest of them, the newest first."""
        return sorted(self._heap, reverse=True)

    def add_names(self, names: Iterable[str]) -> None:
        """Add all files of some package names."""
        for name in names:
            self._add(self._listing.names[name].items())

    def add_others_of(self, name: str, known: Collection[str]) -> Mapping[str, ObjectId]:
        """Add the files of one name that are not ``known``; returns the objects of the others."""
        objects = self._listing.names.get(name, {})
        unknown = objects.keys() - known
        self._add((filename, objects[filename]) for filename in unknown)
        return {filename: objects[filename] for filename in known if filename in objects}

    def _add(self, files: Iterable[tuple[str, ObjectId]]) -> None:
        heap = self._heap
        for filename, identity in files:
            self.count += 1
            if len(heap) < self._count_max:
                heappush(heap, UnknownFile(identity.modified, filename, identity.size))
            elif (identity.modified, filename) > heap[0][:2]:
                heapreplace(heap, UnknownFile(identity.modified, filename, identity.size))
