"""First HEADs of published files, started before the new content is known.

An old HEAD does no harm: a file is only replaced under the condition that it is still the version
of that HEAD.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from sluice.concurrency import Executor, Pending, in_order
from sluice.layout import Subdir
from sluice.publish.previous_file import PreviousFile
from sluice.storage.object_store import ObjectInfo, ObjectStore


class Prefetch:
    """First reads of the files of one subdir."""

    def __init__(self, store: ObjectStore, subdir: Subdir) -> None:
        self._store = store
        self._subdir = subdir
        self._heads: dict[str, Pending[ObjectInfo | None]] = {}
        self._bodies: dict[str, Pending[PreviousFile | None]] = {}

    def start(self, executor: Executor, *, heads: Iterable[str], bodies: Iterable[str]) -> None:
        """Start HEADs of some files, and full reads of others."""
        for file in heads:
            fetch_head = partial(self._store.head, self._subdir.file_key(file))
            self._heads[file] = executor.submit(fetch_head)
        for file in bodies:
            self._bodies[file] = executor.submit(partial(self._read, file))

    def head(self, file: str) -> ObjectInfo | None:
        """The prefetched HEAD, or the result of a HEAD now."""
        pending = self._heads.pop(file, None)
        return pending() if pending else self._store.head(self._subdir.file_key(file))

    def exists(self, file: str) -> bool:
        """Whether a file existed when it was first looked at; ``head`` then sends no HEAD."""
        body = self._bodies.get(file)
        if body is not None:
            return body() is not None
        if file not in self._heads:
            self._heads[file] = in_order.submit(
                partial(self._store.head, self._subdir.file_key(file))
            )
        return self._heads[file]() is not None

    def pending(self, file: str) -> Pending[PreviousFile | None] | None:
        """The pending result of ``open``, if a read of the file was started."""
        return self._bodies.get(file)

    @contextmanager
    def open(self, file: str) -> Iterator[PreviousFile | None]:
        """The prefetched content of a file, or the result of a read now."""
        pending = self._bodies.pop(file, None)
        if pending is None:
            with self._store.open(self._subdir.file_key(file)) as opened:
                yield PreviousFile.from_open(opened) if opened else None
        else:
            yield pending()

    def _read(self, file: str) -> PreviousFile | None:
        stored = self._store.get(self._subdir.file_key(file))
        return PreviousFile.from_stored(stored) if stored else None
