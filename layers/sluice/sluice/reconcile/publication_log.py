"""Marks: which generation was seen published, and since when.

Garbage collection counts its days from them.  A mark is a fact that stays true: from
``published_at`` on, every index file of the subdir has been of this generation or a later one.  So
a mark that is lost only delays the collection, and one that comes back does no harm.  Beside them
lies what saves requests (``memory``), of which the same is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, unpack_json
from sluice.errors import Unavailable
from sluice.layout import Subdir
from sluice.limits import MARKS_MAX, WRITE_ATTEMPTS_MAX
from sluice.reconcile.reconcile_cache import ReconcileCache
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectStore


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One generation that was seen in all published files at once."""

    generation: int
    tree: str
    """Digest."""
    commit: str
    """Digest."""
    published_at: int
    """When the last of the files was written: S3's clock, ms since the epoch, whole seconds."""


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one subdir."""

    marks: list[Mark] = msgspec.field(default_factory=list)
    """By generation, the oldest first."""
    settled: str | None = None
    """What was swept to the end; until this changes there is nothing to collect."""
    memory: ReconcileCache = msgspec.field(default_factory=ReconcileCache)
    """Nothing is concluded from it about garbage: it is kept here to cost no request of its own."""
    waiting: str | UnsetType = UNSET
    """Names a time in which removals wait (``brake``); absent where none do.  It is kept here for
    the same reason: the comparison that ends that time finds nothing missing, and reads no more
    than this."""
    format: int = FORMAT

    def with_mark(self, mark: Mark) -> Marks:
        """Take up what is published now; of one generation the earliest sight counts."""
        last = self.marks[-1] if self.marks else None
        if last and (last.generation, last.tree) == (mark.generation, mark.tree):
            return self
        if last and last.generation >= mark.generation:
            # Somebody has put an old head back.  What was superseded is live again, and nothing
            # that was said of it counts any more.
            return Marks(marks=[mark], memory=self.memory, waiting=self.waiting)
        return msgspec.structs.replace(self, marks=_thinned([*self.marks, mark]))

    def newest(self, *, published_before_ms: int) -> Mark | None:
        """The newest generation that was published by then; all before it were superseded."""
        return next(
            (mark for mark in reversed(self.marks) if mark.published_at < published_before_ms), None
        )

    def from_boundary(self, boundary: Mark) -> Marks:
        """Note that everything older than ``boundary`` may go from now on."""
        kept = [mark for mark in self.marks if mark.generation >= boundary.generation]
        return msgspec.structs.replace(self, marks=kept)

    def with_sweep_key(self, last_sweep_key: str | None) -> Marks:
        """Note what was swept to the end, or ``None`` where something is left."""
        return msgspec.structs.replace(self, settled=last_sweep_key)

    @property
    def boundary(self) -> Mark | None:
        """The oldest generation that is kept with all that came after it, as far as is known."""
        return self.marks[0] if self.marks else None

    def with_cache(self, cache: ReconcileCache) -> Marks:
        """The same with another memory."""
        return msgspec.structs.replace(self, memory=cache)


@dataclass(frozen=True, slots=True)
class StoredMarks:
    """Marks, and the ETag to replace them against."""

    marks: Marks
    etag: ETag | None
    """``None`` where there are none yet."""


def read_marks(state: ObjectStore, subdir: Subdir) -> StoredMarks:
    """Read the marks of a subdir; raises ``Corrupt`` and ``TooNew``.

    They may be deleted by hand at any time: the days are then counted anew.
    """
    stored = state.get(subdir.marks_key)
    if stored is None:
        return StoredMarks(Marks(), None)
    return StoredMarks(unpack_json(stored.body, Marks, what=subdir.marks_key), stored.info.etag)


def write_marks(
    state: ObjectStore, subdir: Subdir, marks: Marks, *, expected: ETag | None
) -> ETag | None:
    """Replace the marks; ``None`` where somebody else may have done so."""
    body = msgspec.json.encode(marks)
    return state.put_if(
        subdir.marks_key, body, object_headers.PRIVATE_JSON_HEADERS, expected=expected
    )


def begin_waiting(
    state: ObjectStore, subdir: Subdir, stored: StoredMarks, *, name: str
) -> StoredMarks:
    """Have the marks name a time of waiting, this one where they name none yet.

    Raises ``Unavailable``, ``Corrupt`` and ``TooNew``.
    """
    return _rewrite(
        state,
        subdir,
        stored,
        lambda marks: marks if marks.waiting else msgspec.structs.replace(marks, waiting=name),
    )


def end_waiting(state: ObjectStore, subdir: Subdir, stored: StoredMarks) -> StoredMarks:
    """Have the marks name no time of waiting; raises what ``begin_waiting`` raises."""
    return _rewrite(
        state, subdir, stored, lambda marks: msgspec.structs.replace(marks, waiting=UNSET)
    )


def _rewrite(
    state: ObjectStore, subdir: Subdir, stored: StoredMarks, change: Callable[[Marks], Marks]
) -> StoredMarks:
    """Write what ``change`` makes of the marks, of those of somebody faster if need be."""
    for _ in range(WRITE_ATTEMPTS_MAX):
        changed = change(stored.marks)
        if changed == stored.marks:
            return stored
        etag = write_marks(state, subdir, changed, expected=stored.etag)
        if etag:
            return StoredMarks(changed, etag)
        stored = read_marks(state, subdir)  # which tells as well whether it has landed
    raise Unavailable(f"{subdir.marks_key} was written by others {WRITE_ATTEMPTS_MAX} times")


def _thinned(marks: Sequence[Mark]) -> list[Mark]:
    """At most so many, fewer of the past: then a boundary comes a little later, never too early."""
    return list(marks) if len(marks) <= MARKS_MAX else [*marks[:-1:2], marks[-1]]
