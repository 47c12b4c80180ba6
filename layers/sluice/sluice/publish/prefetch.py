"""First looks at published files, begun before it is known what is to be written over them.

A look is as good as it was when it was taken, however long ago: a file is only replaced under the
condition that it still is the version that was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from sluice.concurrency import Executor, Pending
from sluice.layout import Subdir
from sluice.publish.previous_file import PreviousFile
from sluice.storage.object_store import ObjectInfo, ObjectStore


class Prefetch:
    """The files of one subdir, each looked at for the first time."""

    def __init__(self, store: ObjectStore, subdir: Subdir) -> None:
        self._store = store
        self._subdir = subdir
        self._heads: dict[str, Pending[ObjectInfo | None]] = {}
        self._bodies: dict[str, Pending[PreviousFile | None]] = {}

    def start(self, executor: Executor, *, heads: Iterable[str], bodies: Iterable[str]) -> None:
        """Start to look at some files, and to read others whole."""
        for file in heads:
            fetch_head = partial(self._store.head, self._subdir.file_key(file))
            self._heads[file] = executor.submit(fetch_head)
        for file in bodies:
            self._bodies[file] = executor.submit(partial(self._read, file))

    def head(self, file: str) -> ObjectInfo | None:
        """What was seen, or is there now if nobody has looked."""
        pending = self._heads.pop(file, None)
        return pending() if pending else self._store.head(self._subdir.file_key(file))

    def pending(self, file: str) -> Pending[PreviousFile | None] | None:
        """What ``open`` will give, if the file is being read or has been."""
        return self._bodies.get(file)

    @contextmanager
    def open(self, file: str) -> Iterator[PreviousFile | None]:
        """The same of a whole file, which is being read or has been."""
        pending = self._bodies.pop(file, None)
        if pending is None:
            with self._store.open(self._subdir.file_key(file)) as opened:
                yield PreviousFile.from_open(opened) if opened else None
        else:
            yield pending()

    def _read(self, file: str) -> PreviousFile | None:
        stored = self._store.get(self._subdir.file_key(file))
        return PreviousFile.from_stored(stored) if stored else None
