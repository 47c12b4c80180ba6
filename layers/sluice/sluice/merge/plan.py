"""What a commit changes about its parent: decided before anything is written.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from sluice.catalog.brake import WaitingRemovals, filenames_digest
from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.commit import Amendment
from sluice.catalog.tree import InputProblem, Inputs, Tree
from sluice.conda.names import NOARCH, package_name
from sluice.extract.staging import FileVerdict, Indexed
from sluice.layout import Subdir
from sluice.merge.apply_staging import EntryEdits, Verdicts
from sluice.merge.inputs import SelectedInputs, names_changed_by_inputs
from sluice.takeover.existing_index import ExistingIndex

if TYPE_CHECKING:
    from sluice.merge.generation_writer import Draft

NO_EDITS: Mapping[str, EntryEdits] = {}
NO_NEWS: Verdicts = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPlan:
    """What the next generation of a subdir is made of, beside its parent."""

    committed_at: int
    """ms since the epoch."""
    rules: RenderRules = NO_RULES
    """What decides, beside the entries, what clients see."""
    public: bool
    """Whether clients are to see the subdir."""
    verdicts: Verdicts = field(default_factory=dict)
    """What staging says of files."""
    existing_index: ExistingIndex | None = None
    """What another tool published there, or another stack: taken over in this commit."""
    inputs: SelectedInputs | None = None
    """Configuration and patch, where they were read again."""
    rerender_names: AbstractSet[str] = frozenset()
    """Package names that are written even where nothing changes."""
    edits: Mapping[str, EntryEdits] = field(default_factory=dict)
    """By package name, what an operator asked for: it goes before the verdicts."""
    amendment: Amendment | UnsetType = UNSET
    """What an operator decided, where this is no merge."""

    def changes(self, parent: Tree, draft: Draft) -> bool:
        """Whether the commit differs from its parent."""
        inputs_differ = self.inputs is not None and self.inputs.inputs != parent.inputs
        return bool(draft.nodes) or self.existing_index is not None or inputs_differ

    def new_problems(self, parent: Tree) -> list[InputProblem]:
        """What is wrong with configuration and patches, and was not known to the parent."""
        if self.inputs is None:
            return []
        known = _problems(parent.inputs)
        return [problem for problem in self.inputs.inputs.problems if problem not in known]

    def problems_changed(self, parent: Tree) -> bool:
        """Whether something else is wrong with configuration and patches than was known."""
        return self.inputs is not None and self.inputs.inputs.problems != _problems(parent.inputs)

    @property
    def waiting(self) -> WaitingRemovals | None:
        """Of the records taken over, those whose files are gone."""
        if self.existing_index is None or not self.existing_index.absent:
            return None
        return WaitingRemovals(
            files=len(self.existing_index.absent),
            packages=len(self.existing_index.absent),
            of=self.existing_index.record_count,
            digest=filenames_digest(self.existing_index.absent),
            since=self.committed_at,
            until=None,
        )


def names_to_rerender(
    parent: Tree, rules: RenderRules, inputs: SelectedInputs | None, *, becomes_public: bool
) -> AbstractSet[str]:
    """The names of a public parent that are written though their entries stay.

    ``rules``: the parent's.
    """
    if not parent.public:
        return frozenset()
    if becomes_public:
        # Taken back from another stack, to which what the tree refers to may have been garbage.
        return parent.names.keys()
    return names_changed_by_inputs(parent, rules, inputs) if inputs else frozenset()


def patch_may_change(subdir: Subdir, records: Iterable[FileVerdict], rules: RenderRules) -> bool:
    """Whether another patch may be active after some staging records."""
    name = rules.config.patches
    return (
        name is not None
        and subdir.name == NOARCH
        and any(package_name(record.filename) == name for record in records)
    )


def has_indexed_package(verdicts: Verdicts) -> bool:
    """Whether any verdict brings a package into the index."""
    return any(isinstance(verdict, Indexed) for verdict in verdicts.values())


def _problems(inputs: Inputs | UnsetType) -> list[InputProblem]:
    return inputs.problems if inputs else []
