"""Garbage collection of one subdir.

Live is what a reader may still ask for: the published generation, and each whose successor was
published less than ``RetentionDays`` ago.

The *retention boundary* is the newest generation that was published before that.  All older ones
were superseded by then, so live are at most the boundary and what came after it.  A generation
refers only to what its parent refers to and to what was written after its parent's head was
swapped, for names never recur.  So whatever is live is reachable from the boundary, or younger than
the boundary's tree; the rest is garbage, however many generations there were, and no lock is
needed.  Where the boundary is the head itself, only merges under way can have written what is live.

To each age comes a day (``GARBAGE_AGE_SECONDS``), for merges under way and for late writes: no head
is swapped more than an hour after the first write that it refers to (``VersionedObject.swap``).
All ages are by S3's clock.  Ours only proposes a cut; one that is not due by S3's clock is left to
a later run.

The cut is in the marks, as the oldest, before anything is deleted because of it.  So a reader of
an old generation that misses something can tell from the marks whether that is still kept
(``admin.history.generations``).

Shards of other tools' indexes lie in the same folder.  None is touched before an index of sluice's
own has been there for ``RetentionDays``; after that those stay which an index names that sluice
replaced in that time (``publisher`` keeps a copy of each).  One race is left: a tool that goes on
running beside sluice, finds an old shard there and names it while it is being deleted.

A pack is live while any node of these two trees refers to it, whichever of its leaves that is.

A rule for those who add to sluice: to go back to an old generation, write new leaves and shards,
never refer to old ones again, neither to a leaf nor to a part of a pack.  And if you put an old
head back by hand: delete the subdir's ``marks/`` as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sluice.catalog.head import Head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import chunks
from sluice.conda.timestamps import Clock, EpochMs
from sluice.errors import Corrupt
from sluice.layout import ContentAddressedFolder, Subdir
from sluice.limits import GARBAGE_AGE_SECONDS, GARBAGE_AT_ONCE_MAX, KEYS_PER_DELETE_MAX
from sluice.reconcile.publication_log import Mark, Marks, StoredMarks, read_marks, write_marks
from sluice.reconcile.reconcile_cache import ReconcileCache
from sluice.storage.object_store import ETag, ObjectInfo, ObjectStore
from sluice.storage.versioned_object import ObjectVersion
from sluice.takeover.foreign_formats import parse_shard_index

DAY_SECONDS = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class GarbageContext:
    """The dependencies of a garbage collection."""

    channel: ObjectStore
    state: ObjectStore
    retention_days: int
    """Days that a superseded generation is kept; at least 1."""
    clock: Clock


@dataclass(frozen=True, slots=True)
class PriorMarks:
    """Marks that were read before, and the cache to store with them."""

    stored: StoredMarks
    cache: ReconcileCache


@dataclass(frozen=True, slots=True)
class CollectedGarbage:
    """The number of objects that were deleted; in a dry run, that would be."""

    objects: int = 0
    bytes: int = 0


def collect_subdir_garbage(
    ctx: GarbageContext,
    subdir: Subdir,
    version: ObjectVersion[Head],
    catalog: CatalogReader,
    *,
    published_at: EpochMs | None,
    prior: PriorMarks | None = None,
    dry_run: bool,
) -> CollectedGarbage:
    """Delete what no reader can request any more.

    ``published_at``: LastModified of the youngest published file, if all of them are those of
    the head ``version``; of the head itself if its tree is not public; ``None`` if any is missing,
    stale or foreign: then nothing is collected.  ``prior``: if ``None``, the marks are read.

    Makes no request if there is nothing to do, as for a subdir that has not changed for long.  Does
    nothing if another collection is at work on the subdir, or has been since the marks were read.
    May stop anywhere and be started again.  Raises ``Unavailable``, ``Corrupt`` and ``TooNew``.
    """
    head = version.value
    if published_at is None or head.tree is None or head.commit is None:
        return CollectedGarbage()
    stored = prior.stored if prior else read_marks(ctx.state, subdir)
    marks = stored.marks.with_mark(
        Mark(
            generation=head.generation,
            tree=head.tree,
            commit=head.commit,
            published_at=published_at,
        )
    )
    if prior:
        marks = marks.with_cache(prior.cache)
    run = _Collection(ctx, subdir, version, catalog, published_at)
    now = ctx.clock() // 1000
    retention_boundary = run.next_boundary(marks, now)
    if dry_run:
        return (
            run.sweep(retention_boundary, now, delete=False).collected
            if retention_boundary
            else CollectedGarbage()
        )
    if retention_boundary is None and marks == stored.marks:
        return CollectedGarbage()
    if retention_boundary:
        # Before any deletion: a reader that misses an object then sees the boundary, see
        # ``admin.history.generations``.
        marks = marks.from_boundary(retention_boundary)
    etag = write_marks(ctx.state, subdir, marks, expected=stored.etag)
    return (
        run.collect(marks, retention_boundary, etag)
        if etag and retention_boundary
        else CollectedGarbage()
    )


@dataclass(frozen=True, slots=True)
class _ObjectKind:
    """All objects of one kind."""

    store: ObjectStore
    folder: ContentAddressedFolder
    live: AbstractSet[bytes]
    """Digests of the objects that a reader may request."""
    delete_before: int
    """The others are garbage if they were written before that time."""

    def unreachable(self) -> Iterator[ObjectInfo]:
        """List the others.  Objects whose names are not digests are never garbage."""
        for info in self.store.list(self.folder.prefix):
            digest = self.folder.digest_of(info.key)
            if digest is not None and bytes.fromhex(digest) not in self.live:
                yield info


@dataclass(frozen=True, slots=True)
class _SweepResult:
    """The result of a sweep."""

    collected: CollectedGarbage
    complete: bool
    """Whether all is deleted that becomes garbage while the boundary and the head stay the same.

    This excludes objects of a later writer that gives up: those wait for the next head."""


@dataclass(frozen=True, slots=True)
class _Collection:
    """One collection of one subdir.  Times of type ``int`` are in seconds."""

    ctx: GarbageContext
    subdir: Subdir
    version: ObjectVersion[Head]
    catalog: CatalogReader
    published_at: EpochMs

    def collect(self, marks: Marks, boundary: Mark, etag: ETag) -> CollectedGarbage:
        """Sweep, after the marks were written as this version with the boundary as their oldest."""
        state, subdir = self.ctx.state, self.subdir
        written = state.head(subdir.marks_key)
        head = state.head(subdir.head_key)
        # The head is read after the time.  So nothing was written for a later head more than a day
        # before that time, however long this run may have been suspended.
        if written is None or head is None or head.etag != self.version.etag:
            return CollectedGarbage()
        if (
            boundary.published_at >= self._retained_since(written.modified) * 1000
        ):  # our clock is ahead
            return CollectedGarbage()
        swept = self.sweep(boundary, written.modified, delete=True)
        marks = marks.with_sweep_key(self.last_sweep_key(boundary) if swept.complete else None)
        write_marks(state, subdir, marks, expected=etag)
        return swept.collected

    def next_boundary(self, marks: Marks, now: int) -> Mark | None:
        """The boundary, if something may be left to sweep."""
        boundary = marks.newest(published_before_ms=self._retained_since(now) * 1000)
        return boundary if boundary and self.last_sweep_key(boundary) != marks.settled else None

    def last_sweep_key(self, boundary: Mark) -> str:
        """A key that must change, after a complete sweep, before more can become garbage."""
        return (
            f"{self.version.etag} {self.published_at}" if self._is_head(boundary) else boundary.tree
        )

    def sweep(self, boundary: Mark, now: int, *, delete: bool) -> _SweepResult:
        """Delete garbage, or only count it."""
        written = self.ctx.state.head(self.subdir.tree_key(boundary.tree))
        tree = self.catalog.find_tree(boundary.tree)
        if written is None or tree is None:  # a later cut was swept, and its mark was lost
            return _SweepResult(CollectedGarbage(), complete=False)
        boundary_written_at = now if self._is_head(boundary) else written.modified
        objects = size = 0
        younger = False
        for kind in self._kinds(boundary, tree, now, boundary_written_at - GARBAGE_AGE_SECONDS):
            for unreachable in chunks(kind.unreachable(), KEYS_PER_DELETE_MAX):
                garbage = [info for info in unreachable if info.modified < kind.delete_before]
                if garbage and delete:
                    kind.store.delete([info.key for info in garbage])
                objects += len(garbage)
                size += sum(info.size for info in garbage)
                younger |= len(garbage) < len(unreachable)
                if objects >= GARBAGE_AT_ONCE_MAX:
                    return _SweepResult(CollectedGarbage(objects, size), complete=False)
        progress = self._outdated_progress(now)
        if progress and delete:
            self.ctx.state.delete([progress.key])
        objects += progress is not None
        size += progress.size if progress else 0
        # Objects younger than a boundary that is not the head belong to later generations, or wait
        # for a later boundary.
        return _SweepResult(
            CollectedGarbage(objects, size), complete=not (younger and self._is_head(boundary))
        )

    def _outdated_progress(self, now: int) -> ObjectInfo | None:
        """What a take-over has left that was killed after its commit, or was given up.

        It is of no use an hour after its first write (``TakeOverProgress``).
        """
        listed = self.ctx.state.list(self.subdir.take_over_key)  # reconcile may not read it
        return next((info for info in listed if info.modified < now - GARBAGE_AGE_SECONDS), None)

    def _kinds(
        self, boundary: Mark, boundary_tree: Tree, now: int, delete_before: int
    ) -> Iterator[_ObjectKind]:
        """Referrers before what they refer to, so that an interruption leaves none dangling."""
        head, state, subdir = self.version.value, self.ctx.state, self.subdir
        head_tree = self.catalog.tree(head.tree)
        nodes = [*boundary_tree.names.values(), *head_tree.names.values()]
        yield _ObjectKind(
            state, subdir.commits, _digest_set(boundary.commit, head.commit), delete_before
        )
        yield _ObjectKind(state, subdir.trees, _digest_set(boundary.tree, head.tree), delete_before)
        yield _ObjectKind(state, subdir.leaves, live_leaves(nodes), delete_before)
        yield _ObjectKind(state, subdir.packs, live_packs(nodes), delete_before)
        live = _digest_set(_patch(boundary_tree), _patch(head_tree))
        yield _ObjectKind(state, subdir.patches, live, delete_before)
        if not boundary_tree.public:
            # These objects are another tool's live index, or were less than RetentionDays ago.
            return
        held_since = min(delete_before, self._retained_since(now) - GARBAGE_AGE_SECONDS)
        yield _ObjectKind(state, subdir.taken_over_indexes, frozenset(), held_since)
        shards = {node.shard for node in nodes if node.shard}
        held = self._held_shards(held_since)
        if held is not None:
            yield _ObjectKind(self.ctx.channel, subdir.shards, shards | held, delete_before)

    def _held_shards(self, since: int) -> set[bytes] | None:
        """The shards of other tools' indexes that were replaced since then; ``None``: unknown."""
        state, folder = self.ctx.state, self.subdir.taken_over_indexes
        held: set[bytes] = set()
        for info in state.list(folder.prefix):
            stored = state.get(info.key) if info.modified >= since else None
            if stored is None:
                continue
            try:
                index = parse_shard_index(stored.body, source=info.key)
            except Corrupt:
                return None
            for path in index.shards:
                held |= _digest_set(self.subdir.shards.digest_of(self.subdir.file_key(path)))
        return held

    def _is_head(self, boundary: Mark) -> bool:
        return boundary.tree == self.version.value.tree

    def _retained_since(self, now: int) -> int:
        return now - self.ctx.retention_days * DAY_SECONDS


def live_leaves(nodes: Iterable[Node]) -> AbstractSet[bytes]:
    """The digests of leaves that are objects of their own."""
    return {node.leaf for node in nodes if node.place is None}


def live_packs(nodes: Iterable[Node]) -> AbstractSet[bytes]:
    """The digests of packs that hold the leaf of any node."""
    return {node.place.pack for node in nodes if node.place}


def _patch(tree: Tree) -> str | None:
    patch = tree.inputs.patch if tree.inputs else None
    return patch.instructions if patch else None


def _digest_set(*digests: str | None) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(digest) for digest in digests if digest)
