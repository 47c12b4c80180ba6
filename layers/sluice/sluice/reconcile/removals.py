"""The removals that a comparison finds in one subdir: checked again, decided, then staged.

All missing files are collected first, over several steps if necessary, and decided on together
(``brake``).  A decision about each part would permit any number of removals.

Two runs may do so at once, for example a stack's reconcile and ``sluice index``.  A decision is
stored by compare-and-swap before any of it is staged, and the loser decides again from the stored
result of the other.  So of two removals that are each allowed alone, the second counts the first.
The price of a lost race is a request, or, if it is lost again and again, a run's delay.  A process
that dies after that write has counted removals that are not staged.  That only delays others, and
the next run finds them again and decides the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from sluice.catalog import brake
from sluice.catalog.brake import BrakeState, MissingFile, RemovalDecision
from sluice.catalog.codec import unpack_json
from sluice.catalog.entry import Record
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.conda.names import package_name
from sluice.errors import BrokenListing, Unavailable
from sluice.extract import extract, staging
from sluice.extract.staging import Removed
from sluice.layout import Subdir, reconcile_part_key
from sluice.limits import NAMES_AT_ONCE, WRITE_ATTEMPTS_MAX
from sluice.reconcile.compare import DiffKind, FileDifference
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.cursor import Unfinished
from sluice.reconcile.listing import Listing, list_subdir
from sluice.reconcile.publication_log import StoredMarks, begin_waiting, end_waiting, read_marks
from sluice.reconcile.report import SubdirReport
from sluice.storage import object_headers
from sluice.storage.missing_objects import confirm_listing, head_packages
from sluice.storage.object_id import ObjectId

FORMAT = 1
"""The newest format of the removals of a step that this version reads, and that it writes."""

Filenames = Collection[str]


class _StepState(msgspec.Struct, frozen=True, kw_only=True):
    """The results of the steps of one run, kept from one to the next.

    They belong to the run and not to the subdir: two concurrent runs would overwrite each other's.
    """

    gone: dict[str, MissingFile]
    """By filename: missing files among those compared so far."""
    carry_out: list[str] = msgspec.field(default_factory=list)
    """The removals that were decided, in order."""
    format: int = FORMAT


class Removals:
    """The removals of one subdir, in one step of a run."""

    def __init__(
        self,
        ctx: ReconcileContext,
        request: ReconcileRequest,
        run: str,
        subdir: Subdir,
        catalog: CatalogReader,
        report: SubdirReport,
    ) -> None:
        self._ctx = ctx
        self._request = request
        self._subdir = subdir
        self._catalog = catalog
        self._report = report
        self._key = reconcile_part_key(run, subdir)
        self._gone: dict[str, MissingFile] = {}
        self._to_remove: list[str] = []
        self._staged = 0
        """How many of those are staged."""

    @property
    def last_staged(self) -> str | None:
        """The last file whose removal was staged, if others are left; else ``None``."""
        left = self._staged < len(self._to_remove)
        return self._to_remove[self._staged - 1] if left else None

    # --- from step to step ------------------------------------------------------------------

    def resume(self, resume_from: Unfinished) -> None:
        """Continue from what earlier steps found or decided.

        A repeated step starts at its original position, so what it found after that before it died
        is ignored.  If that loses a file, the next run finds it.
        """
        if resume_from.compared and resume_from.staged is None:
            return
        stored = self._ctx.state.get(self._key)
        if stored is None:
            return
        step_state = unpack_json(stored.body, _StepState, newest=FORMAT, what=self._key)
        if resume_from.staged is not None:
            self._to_remove = [file for file in step_state.carry_out if file > resume_from.staged]
        else:
            after = resume_from.name or ""
            self._gone = {
                file: missing_file
                for file, missing_file in step_state.gone.items()
                if package_name(file) <= after
            }

    def suspend(self) -> None:
        """Store what was found or decided, for the next steps."""
        if self._gone:  # empty if an earlier step has decided
            step_state = _StepState(gone=self._gone, carry_out=self._to_remove)
            body = msgspec.json.encode(step_state)
            self._ctx.state.put(self._key, body, object_headers.PRIVATE_JSON_HEADERS)

    def add(self, gone: Sequence[FileDifference]) -> None:
        """Add missing files."""
        for difference in gone:
            if difference.entry and difference.entry.identity:
                self._gone[difference.filename] = MissingFile(
                    indexed=isinstance(difference.entry, Record),
                    modified=difference.entry.identity.modified,
                )

    # --- the decision -----------------------------------------------------------------------

    def decide(self, tree: Tree, listing: Listing, marks: StoredMarks | None) -> StoredMarks | None:
        """Decide which missing files to remove now, and report those that wait.

        Returns the updated marks.  Raises ``BrokenListing`` if a file exists that the listing does
        not show, ``Unavailable``, ``Corrupt`` and ``TooNew``.
        """
        if self._gone:
            self._recheck_missing(tree, listing, marks)
        self._report.add_example(DiffKind.GONE.value, sorted(self._gone))
        if not self._gone:
            return self._end_waiting(marks)
        decision, marks = self._decide(tree.records, marks)
        self._to_remove = decision.to_remove
        self._report.waiting = decision.waiting
        self._report.counts.waiting += decision.waiting.files if decision.waiting else 0
        self._report.counts.confirmed += int(decision.confirmed)
        return marks

    def _recheck_missing(self, tree: Tree, listing: Listing, marks: StoredMarks | None) -> None:
        """Drop files that exist by now, or that the catalog no longer knows."""
        self._gone = {
            file: missing_file
            for file, missing_file in self._gone.items()
            if package_name(file) in tree.names
            and file not in listing.names.get(package_name(file), {})
        }
        uploaded: set[str] = set()

        def missing(listed: Filenames) -> list[str]:
            return [file for file in self._gone if file not in listed and file not in uploaded]

        def look(files: Sequence[str]) -> Mapping[str, ObjectId]:
            present = head_packages(self._ctx.channel, self._subdir, self._ctx.executor, files)
            judged = self._known_identities(tree, present)
            # Another object was uploaded since, and its event is still to come.  As in the
            # comparison, the upload time does not make it another object.
            others = {
                file
                for file, identity in present.items()
                if (known := judged.get(file)) is None
                or (known.etag, known.size) != (identity.etag, identity.size)
            }
            uploaded.update(others)
            return {file: identity for file, identity in present.items() if file not in others}

        nothing: Filenames = frozenset()
        try:
            listed = confirm_listing(
                nothing,
                missing,
                find_existing=look,
                list_again=self._list_again,
                label=self._subdir.prefix,
            )
        except BrokenListing:
            # A file that exists has not been missing for days.
            self._end_waiting(marks)
            raise
        self._gone = {file: self._gone[file] for file in missing(listed)}

    def _list_again(self) -> Filenames:
        listing = list_subdir(self._ctx.channel, self._subdir)
        return frozenset(file for files in listing.names.values() for file in files)

    def _known_identities(self, tree: Tree, files: Filenames) -> dict[str, ObjectId | None]:
        """The identities that the catalog has for some filenames."""
        names = sorted(set(map(package_name, files)))
        leaves = self._catalog.entries([tree.names.get(name) for name in names])
        return {
            file: entry.identity
            for entries in leaves
            for file, entry in entries.items()
            if file in files
        }

    def _end_waiting(self, marks: StoredMarks | None) -> StoredMarks | None:
        """Count the days from the beginning if anything is missing again."""
        if marks is None or not marks.marks.waiting or self._request.dry_run:
            return marks
        return end_waiting(self._ctx.state, self._subdir, marks)

    def _decide(
        self, packages: int, marks: StoredMarks | None
    ) -> tuple[RemovalDecision, StoredMarks | None]:
        """Decide, and store the decision before anything is staged."""
        ctx, key = self._ctx, self._subdir.brakes_key
        for _ in range(WRITE_ATTEMPTS_MAX):
            stored = ctx.state.get(key)
            before = brake.decode_brake_state(stored.body, what=key) if stored else BrakeState()
            waiting = marks.marks.waiting if marks else None
            is_same_wait = before.waiting is not None and before.waiting == waiting
            decision = brake.decide_removals(
                before if is_same_wait else BrakeState(removed=before.removed),
                self._gone,
                packages,
                now_ms=ctx.clock(),
                days=ctx.brake_days,
                confirm=self._request.confirm,
            )
            if self._request.dry_run:
                return decision, marks
            after = decision.state
            if after.pending:
                known = marks or read_marks(ctx.state, self._subdir)
                marks = begin_waiting(ctx.state, self._subdir, known, name=ctx.new_id())
                after = msgspec.structs.replace(after, waiting=marks.marks.waiting)
            if after == before:
                return decision, marks
            expected = stored.info.etag if stored else None
            if ctx.state.put_if(
                key,
                brake.encode_brake_state(after),
                object_headers.PRIVATE_JSON_HEADERS,
                expected=expected,
            ):
                return decision, marks
        raise Unavailable(f"{key} changed during each of {WRITE_ATTEMPTS_MAX} attempts to write it")

    # --- carrying it out --------------------------------------------------------------------

    def stage(self, time_is_short: Callable[[], bool]) -> None:
        """Stage the decided removals while there is time, but at least some."""
        for batch in chunks(self._to_remove, NAMES_AT_ONCE):
            if self._staged and time_is_short():
                return
            self._report.counts.removals += len(batch)
            if not self._request.dry_run:
                self._ctx.executor.map(self._stage, batch)
            self._staged += len(batch)

    def _stage(self, filename: str) -> None:
        record = Removed(
            filename=filename, extractor=extract.EXTRACTOR_VERSION, at=self._ctx.clock()
        )
        staging.write_staging_record(
            self._ctx.state, self._subdir, record, unique_id=self._ctx.new_id()
        )
