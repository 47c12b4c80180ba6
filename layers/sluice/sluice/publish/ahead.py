"""First looks at published files, begun before it is known what is to be written over them.

A look is as good as it was when it was taken, however long ago: a file is only replaced under the
condition that it still is the version that was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from sluice.concurrency import Gather, Started
from sluice.keys import Subdir
from sluice.store import ObjectInfo, ObjectStore, OpenObject, StoredObject


class Ahead:
    """The files of one subdir, each looked at for the first time."""

    def __init__(self, store: ObjectStore, subdir: Subdir) -> None:
        self._store = store
        self._subdir = subdir
        self._heads: dict[str, Started[ObjectInfo | None]] = {}
        self._bodies: dict[str, Started[StoredObject | None]] = {}

    def begin(self, gather: Gather, *, heads: Iterable[str], bodies: Iterable[str]) -> None:
        """Start to look at some files, and to read others whole."""
        for file in heads:
            look = partial(self._store.head, self._subdir.public(file))
            self._heads[file] = gather.start(look)
        for file in bodies:
            read = partial(self._store.get, self._subdir.public(file))
            self._bodies[file] = gather.start(read)

    def head(self, file: str) -> ObjectInfo | None:
        """What was seen, or is there now if nobody has looked."""
        started = self._heads.pop(file, None)
        return started() if started else self._store.head(self._subdir.public(file))

    @contextmanager
    def open(self, file: str) -> Iterator[OpenObject | None]:
        """The same of a whole file, which is being read or has been."""
        started = self._bodies.pop(file, None)
        if started is None:
            with self._store.open(self._subdir.public(file)) as opened:
                yield opened
            return
        stored = started()
        yield OpenObject(stored.info, iter([stored.body])) if stored else None
