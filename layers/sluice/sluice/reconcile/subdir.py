"""The reconciliation of one subdir: its packages, its log, its published files, its garbage.

Merges and uploads continue between any two requests of this module, so a finding may be outdated
when it is used.  That is why it only ever leads to a hint for extract and merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sluice.catalog.entry import Entries
from sluice.catalog.head import Head, head_object, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.conda.timestamps import EpochMs
from sluice.errors import Archived, Changed, ForeignOwner, SluiceError, Unavailable, WrongState
from sluice.extract import staging
from sluice.layout import REPODATA, Subdir
from sluice.limits import (
    KEYS_PER_PAGE,
    MESSAGES_PER_BATCH_MAX,
    NAMES_AT_ONCE,
    RECONCILE_TIME_RESERVE_MS,
    REJECTS_PER_SUBDIR_MAX,
    REQUEUED_BEYOND_REJECTS_MAX,
)
from sluice.messages import merge_request, s3_event
from sluice.messages.s3_event import ObjectEvent
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.gc_pause import gc_paused
from sluice.reconcile.compare import (
    DiffKind,
    FileDifference,
    ReExtractCriteria,
    compare_files,
    suspect_names,
)
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.cursor import Unfinished
from sluice.reconcile.digest_check import DigestCheck
from sluice.reconcile.garbage import GarbageContext, PriorMarks, collect_subdir_garbage
from sluice.reconcile.head_cache import HeadCache
from sluice.reconcile.index_file_check import IndexFileCheck, IndexFilesStatus
from sluice.reconcile.input_drift import InputDriftCheck, config_of_tree
from sluice.reconcile.listing import Listing, list_subdir
from sluice.reconcile.publication_log import StoredMarks, read_marks
from sluice.reconcile.reconcile_cache import ReconcileCache
from sluice.reconcile.removals import Removals
from sluice.reconcile.report import SubdirReport
from sluice.reconcile.unknown_files import NewestUnknownFiles
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag, noop
from sluice.storage.versioned_object import ObjectVersion

_FIRST_NAME = ""
"""Files without a parsable name have this one, which sorts before all others."""


@dataclass(frozen=True, slots=True)
class SubdirResult:
    """The result for one subdir, or for a part of it."""

    report: SubdirReport
    remaining: Unfinished | None
    """The part that there was no time for."""
    collect_later: Callable[[], None] | None = None
    """Deletes the garbage and counts it in the report, if that was left to the caller."""


def reconcile_subdir(
    ctx: ReconcileContext,
    request: ReconcileRequest,
    resume_from: Unfinished,
    listing: Listing | None,
    *,
    time_left_ms: Callable[[], int],
    run: str,
    collect_now: bool = True,
) -> SubdirResult:
    """Compare and repair a subdir while there is time, starting at ``resume_from``.

    ``listing``: its packages, if they were just listed.  ``collect_now``: whether to delete garbage
    as well, or leave that to the caller, which may have more urgent work.  ``run``: the name of the
    run, whose steps share the missing files that they find.

    Never raises ``SluiceError``: an error of one subdir must not stop the others, so it goes into
    the report.
    """
    report = SubdirReport(channel=resume_from.subdir.channel, subdir=resume_from.subdir.name)
    subdir_run = _SubdirRun(ctx, request, run, resume_from, report, time_left_ms)

    def collect_later() -> None:
        with _failures_into(report):
            subdir_run.collect()

    with _failures_into(report):
        remaining = subdir_run.run(listing)
        if not collect_now:
            return SubdirResult(report, remaining, collect_later)
        subdir_run.collect()
        return SubdirResult(report, remaining)
    return SubdirResult(report, None)


def catalog_changed_error(subdir: Subdir) -> Unavailable:
    """The error of a comparison whose generation was collected in the meantime."""
    return Unavailable(
        f"the catalog of {subdir.prefix} changed during the comparison with the bucket. The next "
        "run repeats the comparison"
    )


@contextmanager
def _failures_into(report: SubdirReport) -> Iterator[None]:
    """Record errors in the report."""
    try:
        yield
    except ForeignOwner as error:
        report.counts.foreign_owner = 1
        report.failure = str(error)
    except WrongState as error:
        report.counts.wrong_state = 1
        report.failure = str(error)
    except SluiceError as error:
        report.counts.failed = 1
        report.failure = f"{type(error).__name__}: {error}"


class _SubdirRun:
    """The reconciliation of one subdir, or of a part of it."""

    def __init__(
        self,
        ctx: ReconcileContext,
        request: ReconcileRequest,
        run: str,
        resume_from: Unfinished,
        report: SubdirReport,
        time_left_ms: Callable[[], int],
    ) -> None:
        self._ctx = ctx
        self._request = request
        self._resume_from = resume_from
        self._subdir = resume_from.subdir
        self._report = report
        self._time_left_ms = time_left_ms
        self._catalog = CatalogReader(ctx.state, resume_from.subdir, ctx.executor)
        self._removals = Removals(ctx, request, run, resume_from.subdir, self._catalog, report)
        self._newest_unknown: NewestUnknownFiles | None = None
        """The files to requeue of those that the catalog does not know; ``None``: all of them."""
        self.collect: Callable[[], None] = noop
        """The rest of the work, after the differences are handled."""
        self._check_digests: Callable[[], None] = noop
        """The end of the rest."""

    def run(self, listing: Listing | None) -> Unfinished | None:
        """Do the work that there is time for, and return the rest.

        Raises ``Unavailable`` if the catalog moved on so far that the compared objects are gone.
        """
        self._report.counts.subdirs = int(self._resume_from.name is None)
        version = read_head(self._ctx.state, self._subdir)
        with head_object(self._ctx.state, self._subdir).unless_superseded(version):
            return self._run_steps(version, listing)
        raise catalog_changed_error(self._subdir)

    def _run_steps(
        self, version: ObjectVersion[Head], listing: Listing | None
    ) -> Unfinished | None:
        is_first_part = self._resume_from.name is None
        binding_check = self._ctx.executor.submit(self._verify_bucket)
        tree = self._catalog.tree(version.value.tree)
        marks = self._read_marks(version)
        if listing is None:
            listing = list_subdir(self._ctx.channel, self._subdir)
        binding_check()  # before this there are only reads
        head_cache = HeadCache(
            self._ctx, self._subdir, listing, marks.marks.memory if marks else ReconcileCache()
        )
        files = self._check_index_files(version, tree, listing, head_cache)
        if is_first_part:
            stale = self._unpublished(files.stale)  # before anything is staged here
            outdated = self._check_inputs(tree, head_cache, files)
            self._report.add_example("behind", [*stale, *outdated])
            if files.adopted:
                self._request_adoption()
        if is_first_part:
            self._report.counts.objects = listing.package_count
        self._check_rejects(listing, tree)
        remaining, marks = self._repair(listing, tree, marks)
        if remaining is not None:
            return remaining
        if tree.public and not files.moved_away:
            self._check_noarch(head_cache, listing)
        prior = PriorMarks(marks, head_cache.cache) if marks else None
        self.collect = partial(self._collect, version, files.published_at, prior)
        self._check_digests = partial(self._run_digest_check, version, listing, tree)
        return None

    def _verify_bucket(self) -> bool:
        ctx = self._ctx
        check = BucketCheck(
            ctx,
            bucket=ctx.bucket,
            owner=ctx.owner,
            may_bind=not self._request.dry_run,
        )
        return check.ensure_bound(self._subdir.channel)

    def _read_marks(self, version: ObjectVersion[Head]) -> StoredMarks | None:
        """Read the marks, if they are of use here.

        If that fails, only garbage collection must stop, and not the repairs.  The collection reads
        the marks again, and reports the error.
        """
        if version.value.tree is None:
            return None
        try:
            return read_marks(self._ctx.state, self._subdir)
        except SluiceError:
            return None

    def _check_index_files(
        self, version: ObjectVersion[Head], tree: Tree, listing: Listing, head_cache: HeadCache
    ) -> IndexFilesStatus:
        return IndexFileCheck(
            self._ctx,
            self._subdir,
            version,
            tree,
            listing,
            head_cache,
            adopt=self._request.adopt,
        ).check()

    def _check_inputs(
        self, tree: Tree, head_cache: HeadCache, files: IndexFilesStatus
    ) -> list[str]:
        """Request a new read of configuration and patch if they differ from the tree's.

        Also if a file of an earlier configuration is left, because that read deletes it.
        """
        check = InputDriftCheck(self._ctx, self._subdir, tree, self._catalog, head_cache)
        outdated = check.outdated_inputs() + files.leftover
        channel_files = [] if files.moved_away else check.stale_channel_files()
        if not self._request.dry_run:
            if channel_files:  # the merge after that notifies the channel of everything
                self._ctx.config_broadcast.notify_all(self._subdir.channel)
            elif outdated:
                self._ctx.config_broadcast.notify(self._subdir)
        return outdated + channel_files

    def _unpublished(self, stale_files: list[str]) -> list[str]:
        """What no merge is working on: files older than the head, and staging records.

        While all records are young, their merge has been requested, and will publish all files.
        """
        staged = list(islice(self._ctx.state.list(self._subdir.staging_prefix), KEYS_PER_PAGE))
        is_being_merged = staging.is_being_merged(staged, now_ms=self._ctx.clock())
        if is_being_merged and self._ctx.leaves_young_staging:
            return []
        return [*stale_files, "staging"] if staged else stale_files

    def _check_rejects(self, listing: Listing, tree: Tree) -> None:
        """Bound what is requeued of a subdir whose rejects are as many as the catalog keeps.

        Its further files that cannot be indexed are unknown to the catalog, and stay so.
        """
        if tree.rejects >= REJECTS_PER_SUBDIR_MAX:
            self._newest_unknown = NewestUnknownFiles(listing, REQUEUED_BEYOND_REJECTS_MAX)
            self._report.counts.failed = 1
            self._report.failure = (
                f"{REJECTS_PER_SUBDIR_MAX:,} or more files in {self._subdir.prefix} cannot be "
                "indexed, and sluice records no more of them. Delete the files that sluice rejects "
                "lists"
            )

    def _time_is_short(self) -> bool:
        return self._time_left_ms() < RECONCILE_TIME_RESERVE_MS

    def _repair(
        self, listing: Listing, tree: Tree, marks: StoredMarks | None
    ) -> tuple[Unfinished | None, StoredMarks | None]:
        """Request the repair of the differences; returns the part without time, and the marks."""
        resume_from, removals = self._resume_from, self._removals
        criteria = ReExtractCriteria(self._ctx.clock(), self._request.re_extract)
        if resume_from.name is not None:
            removals.resume(resume_from)
        try:
            with gc_paused():  # a comparison makes no cycles, and the listing is large
                names = [] if resume_from.compared else self._suspect_names(listing, tree, criteria)
                last = self._compare(names, listing, tree, criteria)
            self._requeue_newest_unknown()
            if last is None:
                if not resume_from.compared:
                    marks = removals.decide(tree, listing, marks)
                removals.stage(self._time_is_short)
        except SluiceError:
            # A failed request may have been carried out: a removal may be staged and only the
            # response lost.
            self._request_merge_if_changed()
            raise
        # After all removals are staged, or the merge might miss some.
        self._request_merge_if_changed()
        if last is not None:
            removals.suspend()
            return Unfinished(self._subdir, last), marks
        name = names[-1] if names else resume_from.name or _FIRST_NAME
        remaining = Unfinished(self._subdir, name, compared=True, staged=removals.last_staged)
        if remaining.staged is not None:
            removals.suspend()
            return remaining, marks
        # A step that is killed during collection would be run again, with the same result.
        has_worked = bool(names) or resume_from.name is None
        collects_later = has_worked and tree.generation > 0 and self._time_is_short()
        return (remaining if collects_later else None), marks

    def _suspect_names(
        self, listing: Listing, tree: Tree, criteria: ReExtractCriteria
    ) -> list[str]:
        """The names that are left to compare, in order."""
        names, after = suspect_names(listing, tree, criteria), self._resume_from.name
        if self._newest_unknown is not None:
            if after is None:  # all in the first step, and none again in a later one
                self._newest_unknown.add_names(name for name in names if name not in tree.names)
            names = [name for name in names if name in tree.names]
        return names if after is None else [name for name in names if name > after]

    def _compare(
        self, names: Sequence[str], listing: Listing, tree: Tree, criteria: ReExtractCriteria
    ) -> str | None:
        """Compare names and requeue what exists; returns the last name if others are left."""
        done = 0
        for batch in chunks(names, NAMES_AT_ONCE):
            entries = self._catalog.entries([tree.names.get(name) for name in batch])
            differences = [
                difference
                for name, known in zip(batch, entries, strict=True)
                for difference in compare_files(
                    self._objects_to_compare(name, listing, known),
                    known,
                    criteria,
                    listing.archived,
                )
            ]
            self._handle_differences(self._without_readable(differences))
            done += len(batch)
            if done < len(names) and self._time_is_short():
                return batch[-1]
        return None

    def _objects_to_compare(
        self, name: str, listing: Listing, known: Entries
    ) -> Mapping[str, ObjectId]:
        if self._newest_unknown is None:
            return listing.names.get(name, {})
        return self._newest_unknown.add_others_of(name, known)

    def _requeue_newest_unknown(self) -> None:
        """Requeue as many of the unknown files as one step may, if that is bounded."""
        unknown = self._newest_unknown
        if unknown is None:
            return
        newest = unknown.newest
        self._report.add_example(DiffKind.MISSING.value, [file.filename for file in newest])
        self._report.counts.missing += unknown.count - len(newest)
        self._send_uploads([self._upload_message(file.filename, file.size) for file in newest])

    def _without_readable(self, differences: Sequence[FileDifference]) -> list[FileDifference]:
        """Drop archived objects that can be read all the same.

        On AWS that is one that was just restored.  Elsewhere a storage class may have the name of
        an archive and be none.  One byte of each costs less than reading all of it again each day.
        """
        archived = [d for d in differences if d.kind is DiffKind.ARCHIVED]
        readable = self._ctx.executor.map(self._is_readable, archived)
        dropped = {
            d.filename for d, is_readable in zip(archived, readable, strict=True) if is_readable
        }
        return [d for d in differences if d.filename not in dropped]

    def _is_readable(self, difference: FileDifference) -> bool:
        """Whether S3 serves an object; ``True`` also if it was replaced since it was listed."""
        entry = difference.entry
        if entry is None or entry.identity is None:
            return False
        key, etag = self._subdir.file_key(difference.filename), ETag(entry.identity.etag)
        try:
            self._ctx.channel.read_range(key, 0, 1, if_match=etag)
        except Archived:
            return False
        except Changed:
            return True  # its own event is on the way, or the next run compares it
        return True

    def _handle_differences(self, differences: Sequence[FileDifference]) -> None:
        """Requeue existing files, and collect missing ones, which are decided on together."""
        for kind in (kind for kind in DiffKind if kind is not DiffKind.GONE):
            self._report.add_example(
                kind.value, [d.filename for d in differences if d.kind is kind]
            )
        self._removals.add([d for d in differences if d.kind is DiffKind.GONE])
        self._send_uploads(
            [
                self._upload_message(d.filename, d.size)
                for d in differences
                if d.kind is not DiffKind.GONE
            ]
        )

    def _send_uploads(self, messages: Sequence[str]) -> None:
        self._report.counts.fed += len(messages)
        if not self._request.dry_run:
            self._ctx.executor.map(
                self._ctx.uploads.send_all, chunks(messages, MESSAGES_PER_BATCH_MAX)
            )

    def _upload_message(self, filename: str, size: int | None) -> str:
        key = self._subdir.file_key(filename)
        return s3_event.upload_message(ObjectEvent(self._ctx.bucket, key, size))

    def _check_noarch(self, head_cache: HeadCache, listing: Listing) -> None:
        """Request a ``noarch/repodata.json``, without which this is not a channel (CEP 26).

        Not if neither packages nor an index are here: if their removals are not merged yet, the
        subdir will have been moved away.  Otherwise the merge that writes the index requests it.
        """
        if self._subdir.name == NOARCH or not (listing.index_files or listing.package_count):
            return
        if head_cache.noarch_index() is None:
            self._report.add_example("behind", [f"{NOARCH}/{REPODATA}"])
            self._request_merge(Subdir(self._subdir.channel, NOARCH), create=True)

    def _request_adoption(self) -> None:
        self._request_merge(self._subdir, adopt=True)
        if self._subdir.name != NOARCH:
            # It may be empty, so that no walk finds it.
            self._request_merge(Subdir(self._subdir.channel, NOARCH), adopt=True)

    def _request_merge_if_changed(self) -> None:
        if self._report.counts.removals or self._report.counts.behind:
            self._request_merge(self._subdir)

    def _request_merge(self, subdir: Subdir, *, create: bool = False, adopt: bool = False) -> None:
        self._report.counts.merges += 1
        if not self._request.dry_run:
            merge_request.merge_message(
                subdir,
                now_ms=self._ctx.clock(),
                debounce_seconds=self._ctx.debounce_seconds,
                create=create,
                adopt=adopt,
                check_files=True,
            ).send_to(self._ctx.merge_queue)

    def _retention_days(self, version: ObjectVersion[Head]) -> int:
        settings = config_of_tree(self._catalog.tree(version.value.tree))
        return settings.retention_days or self._ctx.retention_days

    def _run_digest_check(self, version: ObjectVersion[Head], listing: Listing, tree: Tree) -> None:
        """Check some digests, and request what follows from that, also if the check fails."""
        if not self._ctx.checks_digests or self._request.dry_run:
            return
        check = DigestCheck(
            self._ctx, self._subdir, tree, self._catalog, self._report, self._time_left_ms
        )
        try:
            with head_object(self._ctx.state, self._subdir).unless_superseded(version):
                check.run(listing)
        finally:
            if check.rejects:
                self._request_merge(self._subdir)
            self._send_uploads([self._upload_message(file, None) for file in check.read_again])

    def _collect(
        self, version: ObjectVersion[Head], published_at: EpochMs | None, prior: PriorMarks | None
    ) -> None:
        ctx = self._ctx
        collected = collect_subdir_garbage(
            GarbageContext(ctx.channel, ctx.state, self._retention_days(version), ctx.clock),
            self._subdir,
            version,
            self._catalog,
            published_at=published_at,
            prior=prior,
            dry_run=self._request.dry_run,
        )
        self._report.counts.collected += collected.objects
        self._report.counts.collected_bytes += collected.bytes
        self._check_digests()
