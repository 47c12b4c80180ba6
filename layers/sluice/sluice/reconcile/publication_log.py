"""The publication log: marks that record since when each generation has been published.

Garbage collection counts its days from them.  A mark is a fact that stays true: from
``published_at`` on, every index file of the subdir has been of this generation or a later one.  So
a lost mark only delays the collection, and one that comes back does no harm.  The same object holds
a cache (``memory``) that saves requests, for which the same is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs
from sluice.errors import Unavailable
from sluice.layout import Subdir
from sluice.limits import MARKS_MAX, WRITE_ATTEMPTS_MAX
from sluice.reconcile.reconcile_cache import ReconcileCache
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectStore

FORMAT = 1
"""The newest format of publication logs that this version reads, and the one that it writes."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One generation that was in all published files at once."""

    generation: int
    tree: str
    """Digest."""
    commit: str
    """Digest."""
    published_at: EpochMs
    """Write time of the last of the files: S3's clock, whole seconds."""


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """The stored marks of one subdir."""

    marks: list[Mark] = msgspec.field(default_factory=list)
    """By generation, oldest first."""
    settled: str | None = None
    """The key of the last complete sweep; until the key changes there is nothing to collect."""
    memory: ReconcileCache = msgspec.field(default_factory=ReconcileCache)
    """No conclusion about garbage depends on it: it is here because that costs no extra request."""
    waiting: str | UnsetType = UNSET
    """Name of a period in which removals wait (``brake``); absent if none do.  It is here for the
    same reason: the comparison that ends the period finds nothing missing, and reads only this."""
    format: int = FORMAT

    def with_mark(self, mark: Mark) -> Marks:
        """Add the current publication; of one generation, the earliest mark counts."""
        last = self.marks[-1] if self.marks else None
        if last and (last.generation, last.tree) == (mark.generation, mark.tree):
            return self
        if last and last.generation >= mark.generation:
            # Somebody restored an old head.  What was superseded is live again, and the old marks
            # do not count any more.
            return Marks(marks=[mark], memory=self.memory, waiting=self.waiting)
        return msgspec.structs.replace(self, marks=_thinned([*self.marks, mark]))

    def newest(self, *, published_before_ms: EpochMs) -> Mark | None:
        """The newest generation that was published by then; all before it were superseded."""
        return next(
            (mark for mark in reversed(self.marks) if mark.published_at < published_before_ms), None
        )

    def from_boundary(self, boundary: Mark) -> Marks:
        """Record that everything older than ``boundary`` may be deleted from now on."""
        kept = [mark for mark in self.marks if mark.generation >= boundary.generation]
        return msgspec.structs.replace(self, marks=kept)

    def with_sweep_key(self, last_sweep_key: str | None) -> Marks:
        """Record the key of a complete sweep, or ``None`` if something is left."""
        return msgspec.structs.replace(self, settled=last_sweep_key)

    @property
    def boundary(self) -> Mark | None:
        """The oldest known generation that is kept, with all after it."""
        return self.marks[0] if self.marks else None

    def with_cache(self, cache: ReconcileCache) -> Marks:
        """The same marks with another cache."""
        return msgspec.structs.replace(self, memory=cache)


@dataclass(frozen=True, slots=True)
class StoredMarks:
    """Marks, and the ETag to replace them against."""

    marks: Marks
    etag: ETag | None
    """``None`` if there are none yet."""


def read_marks(state: ObjectStore, subdir: Subdir) -> StoredMarks:
    """Read the marks of a subdir; raises ``Corrupt`` and ``TooNew``.

    They may be deleted by hand at any time: the days are then counted from the beginning.
    """
    stored = state.get(subdir.marks_key)
    if stored is None:
        return StoredMarks(Marks(), None)
    return StoredMarks(
        unpack_json(stored.body, Marks, newest=FORMAT, what=subdir.marks_key), stored.info.etag
    )


def write_marks(
    state: ObjectStore, subdir: Subdir, marks: Marks, *, expected: ETag | None
) -> ETag | None:
    """Replace the marks; ``None`` if another writer may have done so."""
    body = msgspec.json.encode(marks)
    return state.put_if(
        subdir.marks_key, body, object_headers.PRIVATE_JSON_HEADERS, expected=expected
    )


def begin_waiting(
    state: ObjectStore, subdir: Subdir, stored: StoredMarks, *, name: str
) -> StoredMarks:
    """Name a period of waiting in the marks, unless they already name one.

    Raises ``Unavailable``, ``Corrupt`` and ``TooNew``.
    """
    return _rewrite(
        state,
        subdir,
        stored,
        lambda marks: marks if marks.waiting else msgspec.structs.replace(marks, waiting=name),
    )


def end_waiting(state: ObjectStore, subdir: Subdir, stored: StoredMarks) -> StoredMarks:
    """Remove the period of waiting from the marks; raises the errors of ``begin_waiting``."""
    return _rewrite(
        state, subdir, stored, lambda marks: msgspec.structs.replace(marks, waiting=UNSET)
    )


def _rewrite(
    state: ObjectStore, subdir: Subdir, stored: StoredMarks, change: Callable[[Marks], Marks]
) -> StoredMarks:
    """Apply ``change`` to the marks and write them; again if another writer was first."""
    for _ in range(WRITE_ATTEMPTS_MAX):
        changed = change(stored.marks)
        if changed == stored.marks:
            return stored
        etag = write_marks(state, subdir, changed, expected=stored.etag)
        if etag:
            return StoredMarks(changed, etag)
        stored = read_marks(state, subdir)  # also shows whether the write has landed
    raise Unavailable(
        f"{subdir.marks_key} changed during each of {WRITE_ATTEMPTS_MAX} attempts to write it"
    )


def _thinned(marks: Sequence[Mark]) -> list[Mark]:
    """Drop every second mark of too many: a boundary then comes later, never too early."""
    return list(marks) if len(marks) <= MARKS_MAX else [*marks[:-1:2], marks[-1]]
