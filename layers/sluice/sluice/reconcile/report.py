"""The report of a reconcile run, which is stored in the state bucket and returned to people."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sluice.catalog.brake import WaitingRemovals
from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs
from sluice.extract.misplaced import MisplacedFiles, MisplacedTally
from sluice.limits import FILENAME_CHARS_MAX, REPORT_EXAMPLES_MAX, REPORT_SUBDIRS_MAX
from sluice.reconcile.context import ReconcileRequest
from sluice.reconcile.cursor import Cursor

FORMAT = 1
"""The newest format of reports that this version reads, and the one that it writes."""


class Counts(msgspec.Struct, kw_only=True):
    """The numbers of one subdir, one step or one run."""

    subdirs: int = 0
    objects: int = 0
    """Packages in the bucket."""
    missing: int = 0
    changed: int = 0
    gone: int = 0
    outdated: int = 0
    """See ``compare.DiffKind``."""
    fed: int = 0
    """Packages that were sent to extract."""
    removals: int = 0
    """Removals that were staged."""
    waiting: int = 0
    """Removals that wait for some days, or for a person (``brake``)."""
    confirmed: int = 0
    """Subdirs whose removals the request confirms."""
    merges: int = 0
    """Merges that were requested."""
    behind: int = 0
    """Published files that are missing or not those of the head, leftover staging records, and
    channels with leftover notes."""
    foreign_owner: int = 0
    """Subdirs that another stack publishes."""
    wrong_state: int = 0
    """Subdirs whose catalog belongs to another bucket."""
    failed: int = 0
    """Subdirs that could not be reconciled."""
    collected: int = 0
    """Garbage objects that were deleted."""
    collected_bytes: int = 0
    archived: int = 0
    restored: int = 0
    """See ``compare.DiffKind``."""
    misplaced: int = 0
    """Objects that end like packages and are where no package is."""
    digests_checked: int = 0
    """Packages that were hashed whole, because their digests are what their uploaders say."""
    digests_false: int = 0
    """Those that have other digests, and are rejected."""
    digests_unchecked: int = 0
    """Packages that are too large to be hashed, or that S3 did not return."""

    @property
    def repairs(self) -> int:
        """Number of differences that events should not have left."""
        return self.missing + self.changed + self.gone + self.behind

    @property
    def repaired(self) -> int:
        """Number of those that do not wait for days or for a person."""
        return max(0, self.repairs - self.waiting)

    def add(self, other: Counts) -> None:
        """Add other numbers to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class SubdirReport(msgspec.Struct, kw_only=True):
    """The report on one subdir."""

    channel: str
    subdir: str
    counts: Counts = msgspec.field(default_factory=Counts)
    examples: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Some filenames, by the count that includes them."""
    waiting: WaitingRemovals | None = None
    """The removals that wait."""
    failure: str | None = None

    def add_example(self, kind: str, filenames: Iterable[str]) -> None:
        """Count files, and keep some of their names."""
        names = list(filenames)
        setattr(self.counts, kind, getattr(self.counts, kind) + len(names))
        known = self.examples.get(kind, [])
        # A file that is no package may have a name of a KiB, and Lambda limits a response to 6 MB.
        if examples := [
            name[:FILENAME_CHARS_MAX] for name in (known + names)[:REPORT_EXAMPLES_MAX]
        ]:
            self.examples[kind] = examples

    @property
    def has_changes(self) -> bool:
        """Whether anything was wrong or changed."""
        quiet = Counts(
            subdirs=self.counts.subdirs,
            objects=self.counts.objects,
            digests_checked=self.counts.digests_checked,
        )
        return self.failure is not None or self.counts != quiet


class StepReport(msgspec.Struct, kw_only=True):
    """The report on one step: one invocation's part of a run."""

    counts: Counts = msgspec.field(default_factory=Counts)
    subdirs: list[SubdirReport] = msgspec.field(default_factory=list)
    """Subdirs with something to report, at most ``REPORT_SUBDIRS_MAX``."""
    next: Cursor | None = None
    """Where the next step starts; ``None`` after the last."""

    def add_subdir(self, subdir: SubdirReport) -> None:
        """Add the report on one subdir."""
        self.counts.add(subdir.counts)
        if subdir.has_changes and len(self.subdirs) < REPORT_SUBDIRS_MAX:
            self.subdirs.append(subdir)


class ReconcileReport(msgspec.Struct, kw_only=True):
    """The report on a run, which is a chain of steps."""

    run: str
    started_at: EpochMs
    request: ReconcileRequest
    finished_at: EpochMs | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    """The sums over all steps."""
    steps: dict[str, StepReport] = msgspec.field(default_factory=dict)
    """By number, from 1."""
    misplaced: list[MisplacedFiles] = msgspec.field(default_factory=list)
    """The misplaced files, with examples, by presumed channel.  A run over one subdir does not look
    for them."""
    repairs_before: int = 0
    """What the run before this one, for the same request, repaired."""
    format: int = FORMAT

    @property
    def last_step(self) -> tuple[int, StepReport]:
        """The last step and its number."""
        number = max(map(int, self.steps))
        return number, self.steps[str(number)]

    def add_step(
        self, number: int, step: StepReport, misplaced: MisplacedTally | None = None, *, at: EpochMs
    ) -> None:
        """Add the report on a step, and the misplaced files that it has passed."""
        if misplaced:
            step.counts.misplaced = misplaced.count
            sums = MisplacedTally(self.misplaced)
            sums.add(misplaced)
            self.misplaced = sums.files
        self.steps[str(number)] = step
        self.counts = Counts()
        for step_report in self.steps.values():
            self.counts.add(step_report.counts)
        if step.next is None:
            self.finished_at = at


def encode_report(report: ReconcileReport) -> bytes:
    """Serialize in a readable form."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def decode_report(body: bytes, *, what: str) -> ReconcileReport:
    """Parse a stored report; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_json(body, ReconcileReport, newest=FORMAT, what=what)
