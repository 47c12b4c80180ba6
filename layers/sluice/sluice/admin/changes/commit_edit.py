"""Commits that a person asks for: what a merge does to the head, with no staging behind it.

It is a compare-and-swap like any other, so it is safe beside merges that are running: whoever is
first wins, and the other begins again with what there is then.  The objects are looked at after
the head was read, as a merge does, so a package that changes meanwhile is either seen here, or its
staging record is met by a merge that comes later.

A merge is asked for before the head is swapped, by a staging record: then whoever is killed in
between leaves a request too many, and not a generation that nobody publishes.  If that merge is
faster than the swap, it moves the head, and all begins again, this record included.
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
    """A subdir as its head has it."""

    head: Head
    tree: Tree
    catalog: CatalogReader

    def entries(self, *names: str) -> Iterator[tuple[str, Entries]]:
        """What is known of the files of some package names, in their order."""
        for chunk in chunks(names, NAMES_AT_ONCE):
            entries = self.catalog.entries([self.tree.names.get(name) for name in chunk])
            yield from zip(chunk, entries, strict=True)


@dataclass(frozen=True, slots=True)
class CommitEdit:
    """What an operator wants of a subdir."""

    edits: Mapping[str, EntryEdits]
    """By package name; only what differs from what is there."""
    amendment: Amendment


EditFunction = Callable[[HeadSnapshot], CommitEdit]
"""May be called several times, each time with another head."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The generation that an edit has become."""

    generation: int
    difference: CommitChanges


def read_snapshot(channel: Channel, subdir: Subdir, use: Callable[[HeadSnapshot], T]) -> T:
    """Read a subdir as its head has it: as much as ``use`` reads of it, whose result is returned.

    ``use`` may be called several times, each time with another head.  Raises ``NotFound`` where
    sluice has never had anything there, ``Unavailable``, ``Corrupt``, and what ``use`` raises.
    """
    catalog = CatalogReader(channel.state, subdir, channel.executor)
    return read_newest(
        head_object(channel.state, subdir),
        lambda version: use(_snapshot(version, subdir, catalog)),
    )


def commit_edit(channel: Channel, subdir: Subdir, edit: EditFunction) -> CommitResult | None:
    """Commit what ``edit`` wants of a subdir; ``None`` where that is what there is.

    Raises ``NotFound`` where sluice has never had anything there, ``WrongState``, ``Unavailable``,
    ``Corrupt``, and what ``edit`` raises.
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
        raise NotFound(f"sluice knows of no packages in {subdir.prefix}")
    return HeadSnapshot(head, catalog.tree(head.tree), catalog)


def request_merge(channel: Channel, subdir: Subdir) -> None:
    """Have the next merge of a subdir look at everything, and ask the stack for it."""
    stage_config_change(channel, subdir)
    send_merge_request(channel, subdir)


def stage_config_change(channel: Channel, subdir: Subdir) -> None:
    """Have the next merge of a subdir look at everything, configuration and patches included."""
    record = ConfigChanged(filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=channel.clock())
    staging.write_staging_record(channel.state, subdir, record, unique_id=channel.new_id())


def send_merge_request(channel: Channel, subdir: Subdir) -> None:
    """Ask the stack for a merge, if there is one.

    Not before "now" by no clock: a person's may be wrong by hours.
    """
    if channel.merges:
        merge_request.unique_merge_message(subdir, now_ms=0, unique_id=channel.new_id()).send_to(
            channel.merges
        )


def edits_change_patch(subdir: Subdir, edits: Mapping[str, EntryEdits], rules: RenderRules) -> bool:
    """Tell whether another patch may be in force after some edits."""
    return subdir.name == NOARCH and rules.config.patches in edits


def _notify_of_patch(channel: Channel, noarch: Subdir) -> None:
    """Have the other subdirs look at their patch again.

    After the swap, for they look at what ``noarch`` has.  Who is killed in between leaves that to
    reconcile, which compares.
    """
    ConfigBroadcast(channel.runtime).notify_all(channel.name, exclude=noarch)
