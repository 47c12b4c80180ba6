"""The plan of a commit: what it changes in its parent, decided before any write.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, UnsetType

from sluice.catalog.brake import WaitingRemovals, filenames_digest
from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.commit import Amendment, InputChanges
from sluice.catalog.tree import InputProblem, Inputs, Tree
from sluice.channel_config import config_from_dict
from sluice.conda.names import NOARCH, package_name
from sluice.conda.timestamps import EpochMs
from sluice.extract.staging import FileVerdict, Indexed
from sluice.layout import Subdir
from sluice.merge.apply_staging import EntryEdits, Verdicts
from sluice.merge.inputs import SelectedInputs, names_changed_by_inputs
from sluice.storage.object_id import ObjectId
from sluice.takeover.existing_index import ExistingIndex

if TYPE_CHECKING:
    from sluice.merge.generation_writer import Draft

NO_EDITS: Mapping[str, EntryEdits] = {}
NO_NEWS: Verdicts = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPlan:
    """The content of a subdir's next generation, relative to its parent."""

    committed_at: EpochMs
    """Commit time."""
    rules: RenderRules = NO_RULES
    """What decides, besides the entries, what clients see."""
    public: bool
    """Whether clients see the subdir."""
    verdicts: Verdicts = field(default_factory=dict)
    """The verdicts of staging on files."""
    existing_index: ExistingIndex | None = None
    """The index that another tool or another stack published there: this commit takes it over."""
    inputs: SelectedInputs | None = None
    """Configuration and patch, if they were read again."""
    rerender_names: AbstractSet[str] = frozenset()
    """Package names that are written even if nothing changes."""
    edits: Mapping[str, EntryEdits] = field(default_factory=dict)
    """Edits by an operator, by package name; applied before the verdicts."""
    amendment: Amendment | UnsetType = UNSET
    """The decision of an operator, if this is no merge."""

    def changes(self, parent: Tree, draft: Draft) -> bool:
        """Whether the commit differs from its parent."""
        inputs_differ = self.inputs is not None and self.inputs.inputs != parent.inputs
        return bool(draft.nodes) or self.existing_index is not None or inputs_differ

    def new_problems(self, parent: Tree) -> list[InputProblem]:
        """New problems of configuration and patches, which the parent does not have."""
        if self.inputs is None:
            return []
        known = _problems(parent.inputs)
        return [problem for problem in self.inputs.inputs.problems if problem not in known]

    def document_changed(self, parent: Tree) -> bool:
        """Whether the reject document differs from the parent's because of the inputs.

        It lists the problems and warnings of configuration and patches, and warns of large shards
        only where these are published.
        """
        if self.inputs is None:
            return False
        now, before = self.inputs.inputs, parent.inputs
        return (
            now.problems != _problems(before)
            or (now.warnings or []) != ((before.warnings or []) if before else [])
            or (
                _has_large_shards(parent)
                and self.rules.config.write_shards != _writes_shards(before)
            )
        )

    def input_changes(self, parent: Tree) -> InputChanges | UnsetType:
        """The changes of configuration and patch; ``UNSET`` if there are none."""
        if self.inputs is None:
            return UNSET
        before, after = parent.inputs or None, self.inputs.inputs
        old_patch = before.patch if before else None
        changes = InputChanges(
            config=_config_change(before.config.seen if before else None, after.config.seen),
            settings=_changed_settings(before, after),
            patch=after.patch.package if after.patch and after.patch != old_patch else None,
            patch_removed=old_patch is not None and after.patch is None,
            refused=[problem.sentence for problem in self.new_problems(parent)],
        )
        return changes if changes != InputChanges() else UNSET

    @property
    def waiting(self) -> WaitingRemovals | None:
        """Records that were taken over, but whose files are gone."""
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
    """The names of a public parent that are written although their entries do not change.

    ``rules``: the parent's.
    """
    if not parent.public:
        return frozenset()
    if becomes_public:
        # The channel comes back from another stack, which may have collected this tree's objects.
        return parent.names.keys()
    return names_changed_by_inputs(parent, rules, inputs) if inputs else frozenset()


def patch_may_change(subdir: Subdir, records: Iterable[FileVerdict], rules: RenderRules) -> bool:
    """Whether staging records may have changed the active patch."""
    name = rules.config.patches
    return (
        name is not None
        and subdir.name == NOARCH
        and any(package_name(record.filename) == name for record in records)
    )


def has_indexed_package(verdicts: Verdicts) -> bool:
    """Whether any verdict adds a package to the index."""
    return any(isinstance(verdict, Indexed) for verdict in verdicts.values())


def _has_large_shards(tree: Tree) -> bool:
    return any(node.extras and node.extras.shard_bytes for node in tree.names.values())


def _writes_shards(inputs: Inputs | UnsetType) -> bool:
    return config_from_dict(inputs.config.settings).write_shards if inputs else True


def _config_change(
    before: ObjectId | None, after: ObjectId | None
) -> Literal["added", "changed", "removed"] | None:
    if before == after:
        return None
    if before is None:
        return "added"
    return "changed" if after else "removed"


def _changed_settings(before: Inputs | None, after: Inputs) -> list[str]:
    """The keys of the settings that differ; none before there were inputs to compare with."""
    if before is None:
        return []
    old, new = before.config.settings, after.config.settings
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _problems(inputs: Inputs | UnsetType) -> list[InputProblem]:
    return inputs.problems if inputs else []
