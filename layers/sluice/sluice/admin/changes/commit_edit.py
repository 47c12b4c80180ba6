"""Commits that a person requests: they swap the head as a merge does, without staging records.

Such a commit is a compare-and-swap like any other, so it is safe next to running merges: the first
one wins, and the other begins again from the new head.  Objects are read after the head, as in a
merge.  So a package that changes meanwhile is either seen here, or a later merge reads its staging
record.

A staging record requests a merge before the head is swapped.  If the process is killed in between,
there is a request too many, and not a generation that nobody publishes.  If that merge is faster
than the swap, it moves the head, and everything begins again, including this record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from sluice.admin.session.channel import Channel
from sluice.admin.session.commit_plan import commit_plan
from sluice.catalog.client_view import RenderRules
from sluice.catalog.commit import Amendment
from sluice.catalog.entry import NOT_EXTRACTED, Entries
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.errors import NotFound
from sluice.extract import staging
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.extract.staging import ConfigChanged
from sluice.layout import SLUICE_TOML, Subdir
from sluice.limits import NAMES_AT_ONCE
from sluice.merge.apply_staging import CommitChanges, EntryEdits
from sluice.merge.generation_writer import GenerationWriter
from sluice.merge.plan import CommitPlan
from sluice.messages import merge_request
from sluice.storage.versioned_object import LOST, ObjectVersion, Swap, commit_loop, read_newest

T = TypeVar("T")
NO_CHANGES: Mapping[str, EntryEdits] = {}


@dataclass(frozen=True, slots=True)
class HeadSnapshot:
    """The content of a subdir under one head."""

    head: Head
    tree: Tree
    catalog: CatalogReader

    def entries(self, *names: str) -> Iterator[tuple[str, Entries]]:
        """The entries of some package names, in the names' order."""
        for chunk in chunks(names, NAMES_AT_ONCE):
            entries = self.catalog.entries([self.tree.names.get(name) for name in chunk])
            yield from zip(chunk, entries, strict=True)


@dataclass(frozen=True, slots=True)
class CommitEdit:
    """An operator's edit of a subdir."""

    edits: Mapping[str, EntryEdits]
    """By package name; only the differences from the current entries."""
    amendment: Amendment


EditFunction = Callable[[HeadSnapshot], CommitEdit]
"""A function that may be called several times, each time with another head."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The generation that an edit led to."""

    generation: int
    difference: CommitChanges


def read_snapshot(channel: Channel, subdir: Subdir, use: Callable[[HeadSnapshot], T]) -> T:
    """Read a subdir under its current head, and return the result of ``use``.

    ``use`` may be called several times, each time with another head.  Raises ``NotFound`` if sluice
    has never indexed this subdir, ``Unavailable``, ``Corrupt``, and the errors of ``use``.
    """
    catalog = CatalogReader(channel.state, subdir, channel.executor)
    return read_newest(
        head_object(channel.state, subdir),
        lambda version: use(_snapshot(version, subdir, catalog)),
    )


def commit_edit(channel: Channel, subdir: Subdir, edit: EditFunction) -> CommitResult | None:
    """Commit the edit of a subdir; ``None`` if it changes nothing.

    Raises ``NotFound`` if sluice has never indexed this subdir, ``WrongState``, ``Unavailable``,
    ``Corrupt``, and the errors of ``edit``.
    """
    catalog = CatalogReader(channel.state, subdir, channel.executor)
    writer = GenerationWriter(channel.runtime, subdir, catalog)
    versioned = head_object(channel.state, subdir)

    def attempt(version: ObjectVersion[Head]) -> CommitResult | Literal[Swap.LOST] | None:
        snapshot = _snapshot(version, subdir, catalog)
        channel.bucket_check.ensure_bound(channel.name)
        parent = snapshot.tree
        wanted = edit(snapshot)
        if not wanted.edits:
            return None
        rules = catalog.rules(parent)
        plan = CommitPlan(
            committed_at=max(channel.clock(), parent.at + 1),
            rules=rules,
            public=parent.public,
            edits=wanted.edits,
            amendment=wanted.amendment,
        )
        committed = commit_plan(
            versioned,
            version,
            parent,
            plan,
            writer=writer,
            new_id=channel.new_id,
            before_commit=partial(request_merge, channel, subdir),
        )
        if committed is LOST:
            return LOST
        if edits_change_patch(subdir, wanted.edits, rules):
            _notify_of_patch(channel, subdir)
        return CommitResult(committed.head.generation, committed.draft.difference)

    return commit_loop(versioned, attempt)


def _snapshot(version: ObjectVersion[Head], subdir: Subdir, catalog: CatalogReader) -> HeadSnapshot:
    head = version.value
    if head.tree is None:
        raise NotFound(f"the catalog has no packages in {subdir.prefix}")
    return HeadSnapshot(head, catalog.tree(head.tree), catalog)


def request_merge(channel: Channel, subdir: Subdir) -> None:
    """Make the next merge of a subdir check everything, and request it from the stack."""
    stage_config_change(channel, subdir)
    send_merge_request(channel, subdir)


def stage_config_change(channel: Channel, subdir: Subdir) -> None:
    """Make the next merge of a subdir check everything, including configuration and patches."""
    record = ConfigChanged(filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=channel.clock())
    staging.write_staging_record(channel.state, subdir, record, unique_id=channel.new_id())


def send_merge_request(channel: Channel, subdir: Subdir) -> None:
    """Request a merge from the stack, if there is one.

    The request is not early by any clock: a person's clock may be wrong by hours.
    """
    if channel.merges:
        merge_request.unique_merge_message(subdir, now_ms=0, unique_id=channel.new_id()).send_to(
            channel.merges
        )


def edits_change_patch(subdir: Subdir, edits: Mapping[str, EntryEdits], rules: RenderRules) -> bool:
    """Whether some edits may change the active patch."""
    return subdir.name == NOARCH and rules.config.patches in edits


def _notify_of_patch(channel: Channel, noarch: Subdir) -> None:
    """Notify the other subdirs to read their patch again.

    After the swap, because they read what ``noarch`` has.  If the process is killed in between,
    reconcile finds the difference.
    """
    ConfigBroadcast(channel.runtime).notify_all(channel.name, exclude=noarch)
