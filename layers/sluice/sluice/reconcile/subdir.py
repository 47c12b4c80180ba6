"""Reconciling one subdir: its packages, its log, its published files, its garbage.

Merges and uploads go on between any two of the requests here, so what is found may be untrue by the
time it is told.  That is why it is only ever told as a hint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sluice.catalog.head import Head, head_object, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.errors import ForeignOwner, SluiceError, Unavailable, WrongState
from sluice.layout import REPODATA, Subdir
from sluice.limits import MESSAGES_PER_BATCH_MAX, NAMES_AT_ONCE, RECONCILE_TIME_RESERVE_MS
from sluice.messages import merge_request, s3_event
from sluice.messages.s3_event import ObjectEvent
from sluice.publish.bucket_check import BucketCheck
from sluice.reconcile.compare import Criteria, Difference, Kind, compare, suspects
from sluice.reconcile.context import Reconciler, Request
from sluice.reconcile.cursor import Unfinished
from sluice.reconcile.garbage import Collector, Known, collect
from sluice.reconcile.head_cache import Looks
from sluice.reconcile.index_file_check import Files, FilesCheck
from sluice.reconcile.input_drift import InputsCheck, settings_of
from sluice.reconcile.listing import Listing, list_subdir
from sluice.reconcile.publication_log import StoredMarks, read_marks
from sluice.reconcile.reconcile_cache import Memory
from sluice.reconcile.removals import Removals
from sluice.reconcile.report import SubdirReport
from sluice.storage.object_store import nothing
from sluice.storage.versioned_object import Version

_FIRST_NAME = ""
"""Of the files that have no name that can be told; in order it comes before all others."""


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one subdir, or of a part of it."""

    report: SubdirReport
    rest: Unfinished | None
    """What there was no time for."""
    collect: Callable[[], None] | None = None
    """Deletes the garbage, and counts it in the report, where that was left to the caller."""


def reconcile(
    world: Reconciler,
    request: Request,
    begin: Unfinished,
    listing: Listing | None,
    *,
    time_left_ms: Callable[[], int],
    run: str,
    collects: bool = True,
) -> Part:
    """Compare and repair a subdir as far as time allows, from where ``begin`` says.

    ``listing``: where its packages have just been listed.  ``collects``: whether to delete the
    garbage as well, or leave it to the caller, to whom other things may be more urgent.  ``run``:
    the name of the run, whose steps share what they find missing.

    Never raises ``SluiceError``: what is wrong with one subdir must not stop the others, so it is
    in the report.
    """
    report = SubdirReport(channel=begin.subdir.channel, subdir=begin.subdir.name)
    work = _Work(world, request, run, begin, report, time_left_ms)

    def collect_later() -> None:
        with _told_in(report):
            work.collect()

    with _told_in(report):
        rest = work.do(listing)
        if not collects:
            return Part(report, rest, collect_later)
        work.collect()
        return Part(report, rest)
    return Part(report, None)


def changed_meanwhile(subdir: Subdir) -> Unavailable:
    """The error of a comparison whose generation was collected meanwhile."""
    return Unavailable(
        f"the catalog of {subdir.prefix} has changed while it was compared with the bucket; the "
        "next run compares them again"
    )


@contextmanager
def _told_in(report: SubdirReport) -> Iterator[None]:
    """Have what goes wrong stand in the report."""
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


class _Work:
    """One subdir, or a part of it."""

    def __init__(
        self,
        world: Reconciler,
        request: Request,
        run: str,
        begin: Unfinished,
        report: SubdirReport,
        time_left_ms: Callable[[], int],
    ) -> None:
        self._world = world
        self._request = request
        self._begin = begin
        self._subdir = begin.subdir
        self._report = report
        self._time_left_ms = time_left_ms
        self._catalog = CatalogReader(world.state, begin.subdir, world.gather)
        self._removals = Removals(world, request, run, begin.subdir, self._catalog, report)
        self.collect: Callable[[], None] = nothing
        """What is left to be done once the differences are told."""

    def do(self, listing: Listing | None) -> Unfinished | None:
        """Do what there is time for, and return what is left.

        Raises ``Unavailable`` where it was overtaken, so that what it compares with is gone.
        """
        self._report.counts.subdirs = int(self._begin.name is None)
        version = read_head(self._world.state, self._subdir)
        with head_object(self._world.state, self._subdir).unless_superseded(version):
            return self._do(version, listing)
        raise changed_meanwhile(self._subdir)

    def _do(self, version: Version[Head], listing: Listing | None) -> Unfinished | None:
        is_first_part = self._begin.name is None
        bound = self._world.gather.start(self._verify_bucket)
        tree = self._catalog.tree(version.value.tree)
        marks = self._read_marks(version)
        if listing is None:
            listing = list_subdir(self._world.channel, self._subdir)
        bound()  # nothing but reading comes before this
        looks = Looks(self._world, self._subdir, listing, marks.marks.memory if marks else Memory())
        files = self._look_at_files(version, tree, listing, looks)
        if is_first_part:
            behind = [*files.behind, *self._left_in_staging()]  # before anything is staged here
            outdated = self._look_at_inputs(tree, looks, files.left_over)
            self._report.note("behind", [*behind, *outdated])
            if files.adopted:
                self._ask_to_adopt()
        if is_first_part:
            self._report.counts.objects = listing.objects
        rest, marks = self._repair(listing, tree, marks)
        if rest is not None:
            return rest
        if tree.public and self._subdir.name != NOARCH:
            self._look_for_noarch(looks)
        known = Known(marks, looks.memory) if marks else None
        self.collect = partial(self._collect, version, files.published_at, known)
        return None

    def _verify_bucket(self) -> bool:
        world = self._world
        check = BucketCheck(
            channel=world.channel,
            state=world.state,
            bucket=world.bucket,
            owner=world.owner,
            clock=world.clock,
            new_id=world.unique,
            may_bind=not self._request.dry_run,
        )
        return check.ensure_bound(self._subdir.channel)

    def _read_marks(self, version: Version[Head]) -> StoredMarks | None:
        """Read the marks, if they are of use here.

        Nothing may stop repairs that stops only the collection: that reads them again, and says
        what is wrong.
        """
        if version.value.tree is None:
            return None
        try:
            return read_marks(self._world.state, self._subdir)
        except SluiceError:
            return None

    def _look_at_files(
        self, version: Version[Head], tree: Tree, listing: Listing, looks: Looks
    ) -> Files:
        return FilesCheck(
            self._world,
            self._subdir,
            version,
            tree,
            listing,
            looks,
            adopt=self._request.adopt,
        ).look()

    def _look_at_inputs(self, tree: Tree, looks: Looks, left_over: list[str]) -> list[str]:
        """Have configuration and patch looked at where they are others than the tree's.

        Also where a file is left that an earlier configuration asked for: whoever reconsiders
        tidies up.
        """
        check = InputsCheck(self._world, self._subdir, tree, self._catalog, looks)
        outdated = check.outdated() + left_over
        of_channel = check.channel_files_behind()
        if not self._request.dry_run:
            if of_channel:  # whoever reconsiders tells the channel of everything
                self._world.announcer.tell_all(self._subdir.channel)
            elif outdated:
                self._world.announcer.tell(self._subdir)
        return outdated + of_channel

    def _left_in_staging(self) -> list[str]:
        staged = self._world.state.list(self._subdir.staging)
        return ["staging"] if next(iter(staged), None) else []

    def _time_is_short(self) -> bool:
        return self._time_left_ms() < RECONCILE_TIME_RESERVE_MS

    def _repair(
        self, listing: Listing, tree: Tree, marks: StoredMarks | None
    ) -> tuple[Unfinished | None, StoredMarks | None]:
        """Have the differences repaired; returns what there was no time for, and the marks."""
        begin, removals = self._begin, self._removals
        criteria = Criteria(self._world.clock(), self._request.re_extract)
        names = [] if begin.compared else suspects(listing, tree, criteria)
        if begin.name is not None:
            names = [name for name in names if name > begin.name]
            removals.resume(begin)
        try:
            last = self._compare(names, listing, tree, criteria)
            if last is None:
                if not begin.compared:
                    marks = removals.decide(tree, listing, marks)
                removals.stage(self._time_is_short)
        except SluiceError:
            # What failed may be done all the same: a removal is staged and only the answer lost.
            self._ask_for_what_changed()
            raise
        # After all removals are staged, or the merge might miss some.
        self._ask_for_what_changed()
        if last is not None:
            removals.suspend()
            return Unfinished(self._subdir, last), marks
        name = names[-1] if names else begin.name or _FIRST_NAME
        rest = Unfinished(self._subdir, name, compared=True, staged=removals.staged)
        if rest.staged is not None:
            removals.suspend()
            return rest, marks
        # A step that was killed while it collects would be taken again, to the same end.
        has_worked = bool(names) or begin.name is None
        collects_later = has_worked and tree.generation > 0 and self._time_is_short()
        return (rest if collects_later else None), marks

    def _compare(
        self, names: Sequence[str], listing: Listing, tree: Tree, criteria: Criteria
    ) -> str | None:
        """Compare names, and feed what is there; the last of them if others are left."""
        done = 0
        for some in chunks(names, NAMES_AT_ONCE):
            entries = self._catalog.entries([tree.names.get(name) for name in some])
            differences = [
                difference
                for name, known in zip(some, entries, strict=True)
                for difference in compare(listing.names.get(name, {}), known, criteria)
            ]
            self._tell(differences)
            done += len(some)
            if done < len(names) and self._time_is_short():
                return some[-1]
        return None

    def _tell(self, differences: Sequence[Difference]) -> None:
        """Feed what is there, and collect what is not, which is decided on as a whole."""
        for kind in (kind for kind in Kind if kind is not Kind.GONE):
            self._report.note(kind.value, [d.filename for d in differences if d.kind is kind])
        self._removals.add([d for d in differences if d.kind is Kind.GONE])
        looks = [self._look(d) for d in differences if d.kind is not Kind.GONE]
        self._report.counts.fed += len(looks)
        if not self._request.dry_run:
            self._world.gather(self._world.uploads.send_all, chunks(looks, MESSAGES_PER_BATCH_MAX))

    def _look(self, difference: Difference) -> str:
        key = self._subdir.public(difference.filename)
        return s3_event.look(ObjectEvent(self._world.bucket, key, difference.size))

    def _look_for_noarch(self, looks: Looks) -> None:
        """Have the channel get a ``noarch/repodata.json``, without which it is none (CEP 26)."""
        if looks.noarch_index() is None:
            self._report.note("behind", [f"{NOARCH}/{REPODATA}"])
            self._ask_for_merge(Subdir(self._subdir.channel, NOARCH), create=True)

    def _ask_to_adopt(self) -> None:
        self._ask_for_merge(self._subdir, adopt=True)
        if self._subdir.name != NOARCH:
            # It may be empty, so that no walk finds it.
            self._ask_for_merge(Subdir(self._subdir.channel, NOARCH), adopt=True)

    def _ask_for_what_changed(self) -> None:
        if self._report.counts.removals or self._report.counts.behind:
            self._ask_for_merge(self._subdir)

    def _ask_for_merge(self, subdir: Subdir, *, create: bool = False, adopt: bool = False) -> None:
        self._report.counts.merges += 1
        if not self._request.dry_run:
            merge_request.windowed(
                subdir,
                now_ms=self._world.clock(),
                debounce_seconds=self._world.debounce_seconds,
                create=create,
                adopt=adopt,
            ).send_to(self._world.merges)

    def _retention_days(self, version: Version[Head]) -> int:
        settings = settings_of(self._catalog.tree(version.value.tree))
        return settings.retention_days or self._world.retention_days

    def _collect(
        self, version: Version[Head], published_at: int | None, known: Known | None
    ) -> None:
        world = self._world
        collected = collect(
            Collector(world.channel, world.state, self._retention_days(version), world.clock),
            self._subdir,
            version,
            self._catalog,
            published_at=published_at,
            known=known,
            dry_run=self._request.dry_run,
        )
        self._report.counts.collected += collected.objects
        self._report.counts.collected_bytes += collected.bytes
