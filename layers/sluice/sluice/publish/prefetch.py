"""First looks at published files, begun before it is known what is to be written over them.

A look is as good as it was when it was taken, however long ago: a file is only replaced under the
condition that it still is the version that was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from sluice.concurrency import Gather, Started
from sluice.layout import Subdir
from sluice.publish.previous_file import Previous
from sluice.storage.object_store import ObjectInfo, ObjectStore


class Ahead:
    """The files of one subdir, each looked at for the first time."""

    def __init__(self, store: ObjectStore, subdir: Subdir) -> None:
        self._store = store
        self._subdir = subdir
        self._heads: dict[str, Started[ObjectInfo | None]] = {}
        self._bodies: dict[str, Started[Previous | None]] = {}

    def begin(self, gather: Gather, *, heads: Iterable[str], bodies: Iterable[str]) -> None:
        """Start to look at some files, and to read others whole."""
        for file in heads:
            look = partial(self._store.head, self._subdir.public(file))
            self._heads[file] = gather.start(look)
        for file in bodies:
            self._bodies[file] = gather.start(partial(self._read, file))

    def head(self, file: str) -> ObjectInfo | None:
        """What was seen, or is there now if nobody has looked."""
        started = self._heads.pop(file, None)
        return started() if started else self._store.head(self._subdir.public(file))

    def coming(self, file: str) -> Started[Previous | None] | None:
        """What ``open`` will give, if the file is being read or has been."""
        return self._bodies.get(file)

    @contextmanager
    def open(self, file: str) -> Iterator[Previous | None]:
        """The same of a whole file, which is being read or has been."""
        started = self._bodies.pop(file, None)
        if started is None:
            with self._store.open(self._subdir.public(file)) as opened:
                yield Previous.opened(opened) if opened else None
        else:
            yield started()

    def _read(self, file: str) -> Previous | None:
        stored = self._store.get(self._subdir.public(file))
        return Previous.of(stored) if stored else None
