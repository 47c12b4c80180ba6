"""Lookups of the objects that a batch of staging records is about.

One HEAD each, or, for many, a few LISTs of the ranges between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from sluice.concurrency import Executor, Pending
from sluice.layout import Subdir, is_key_text
from sluice.limits import HEADS_PER_PAGE_MAX, KEYS_PER_PAGE, LISTINGS_AT_ONCE
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectStore, describe_object

ObjectsByName = dict[str, ObjectId]
"""The objects that exist, by filename."""


class ObjectLookup:
    """Looks up packages of one subdir, no earlier than its creation."""

    def __init__(self, channel: ObjectStore, subdir: Subdir, executor: Executor) -> None:
        self._channel = channel
        self._subdir = subdir
        self._executor = executor
        self._started: dict[str, Pending[ObjectsByName]] = {}

    def prefetch(self, filenames: Collection[str], *, files: int) -> None:
        """Start the lookups of some packages of a subdir that holds about ``files`` objects."""
        if len(filenames) > HEADS_PER_PAGE_MAX * (files / KEYS_PER_PAGE + LISTINGS_AT_ONCE):
            ordered = sorted(filenames)
            size = -(-len(ordered) // LISTINGS_AT_ONCE)
            ranges = [ordered[first : first + size] for first in range(0, len(ordered), size)]
            looks = [(names, partial(self._list, names[0], names[-1])) for names in ranges]
        else:
            looks = [([name], partial(self._head, name)) for name in filenames]
        for names, do in looks:
            self._started |= dict.fromkeys(names, self._executor.submit(do))

    def resolve(self, filenames: Iterable[str]) -> dict[str, ObjectId | None]:
        """The objects with those names, ``None`` for no object; raises ``Unavailable``.

        An object under a key that sluice refuses is no package, so it counts as no object.
        """
        names = sorted(set(filenames))
        not_prefetched = [name for name in names if name not in self._started]
        seen: ObjectsByName = {}
        for objects in self._executor.map(self._head, not_prefetched):
            seen |= objects
        for name in names:
            if name in self._started:
                objects = self._started[name]()
                seen |= {name: objects[name]} if name in objects else {}
        return {name: seen.get(name) if is_key_text(name) else None for name in names}

    def restored(self, filenames: Iterable[str]) -> frozenset[str]:
        """Those of the files that are in no archive now; raises ``Unavailable``.

        By HEAD, for a LIST does not show all archives (Intelligent-Tiering).
        """
        names = sorted(filenames)
        infos = self._executor.map(
            lambda name: describe_object(self._channel, self._subdir.file_key(name)), names
        )
        return frozenset(
            name for name, info in zip(names, infos, strict=True) if info and info.archive is None
        )

    def _head(self, filename: str) -> ObjectsByName:
        info = describe_object(self._channel, self._subdir.file_key(filename))
        return {filename: ObjectId.from_info(info)} if info else {}

    def _list(self, first: str, last: str) -> ObjectsByName:
        """List everything between two filenames, both included."""
        folder = self._subdir.file_key("")
        seen: ObjectsByName = {}
        # No requested name sorts between a name and the same without its last character.
        for info in self._channel.list(folder, delimiter="/", after=folder + first[:-1]):
            filename = info.key.removeprefix(folder)
            if filename > last:
                break
            seen[filename] = ObjectId.from_info(info)
        return seen
