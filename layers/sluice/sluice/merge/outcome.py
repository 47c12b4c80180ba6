"""The combined result of the commits of one merge, for its report and its notifications.  Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sluice.catalog.brake import WaitingRemovals
from sluice.catalog.tree import InputProblem, Tree
from sluice.conda.timestamps import EpochMs
from sluice.extract.staging import StagingBatch
from sluice.merge.apply_staging import CommitChanges
from sluice.merge.generation_writer import Draft
from sluice.merge.plan import CommitPlan
from sluice.publish.publication import PublishResult


@dataclass(slots=True)
class MergeReport:
    """What one merge did, for logs and metrics."""

    generation: int = 0
    staged: int = 0
    """Staging records that were read."""
    difference: CommitChanges = field(default_factory=CommitChanges)
    """Changes of all commits of this run together."""
    problems: list[InputProblem] = field(default_factory=list)
    """New problems of configuration and patches that cannot be used."""
    lags_ms: list[int] = field(default_factory=list)
    """Commit time - upload time, for each package that entered the index."""
    taken_over: int = 0
    """Records from the index that was there before sluice."""
    left_out: int = 0
    """Records of that index that cannot be published; reconcile requeues their files."""
    waiting: WaitingRemovals | None = None
    """Records that were taken over, but whose files are gone."""
    rejects_left_out: int = 0
    """Files that cannot be indexed, beyond the rejects that a subdir keeps."""
    set_aside: int = 0
    """Staging records that cannot be decoded."""
    isolated: list[str] = field(default_factory=list)
    """A sentence for each staging record with which no merge succeeds; they were set aside, too."""
    too_new: int = 0
    files_written: int = 0
    foreign_overwritten: int = 0
    unfinished: bool = False
    """Time ran short, and another merge was requested."""
    names_left: int = 0
    """Package names of that index that a later merge takes over."""


@dataclass(slots=True)
class Outcome:
    """The combined result of a merge's batches so far."""

    began_ms: EpochMs
    """Start of the merge."""
    report: MergeReport = field(default_factory=MergeReport)
    names: set[str] = field(default_factory=set)
    """Package names that may have changed, also in an earlier merge that was killed: its staging
    records are still here."""
    all_names: bool = False
    """Whether any name may have changed."""
    adopted: bool = False
    """Whether an existing index was taken over."""
    inputs_were_read: bool = False
    """Whether configuration and patches of a public subdir were read again."""
    patch_changes: bool = False
    """Whether another patch may be active for the other subdirs."""

    def add_commit(
        self,
        plan: CommitPlan,
        draft: Draft,
        parent: Tree,
        *,
        names: Collection[str],
        patch_changes: bool,
    ) -> None:
        """Add one swap that was won; ``names`` are the package names of its staging records."""
        self.adopted |= plan.existing_index is not None
        self.patch_changes |= patch_changes
        self.inputs_were_read |= plan.inputs is not None and parent.public
        self.all_names |= plan.inputs is not None
        self.names |= draft.nodes.keys() | set(names)
        report = self.report
        report.lags_ms += draft.lags_ms
        report.difference.extend(draft.difference)
        report.problems += plan.new_problems(parent)
        report.taken_over += draft.taken_over
        report.rejects_left_out += draft.rejects_left_out
        if plan.existing_index:
            report.left_out += plan.existing_index.record_count - draft.taken_over
        report.waiting = plan.waiting or report.waiting

    def add_batch(self, batch: StagingBatch, *, generation: int) -> None:
        """Add one batch that was read; ``generation``: of the head after it."""
        self.report.generation = generation
        self.report.staged += len(batch.consumed)
        self.report.set_aside += len(batch.unreadable)
        self.report.too_new += batch.too_new

    def add_published(self, published: PublishResult) -> None:
        """Add the result of publishing."""
        self.report.files_written += published.files_written
        self.report.foreign_overwritten += published.foreign_overwritten
