"""Rebinds one subdir: one comparison with the new bucket, and one commit.

- Pins are anchored to the current objects.  Otherwise each pinned-out file would come back as if it
  had been uploaded again.
- Records that sluice has published there, and that the catalog does not have, are taken over with
  their dates: the catalog may have been restored from a backup, and sluice never publishes less.
- Shards that the bucket does not have are written.
- The generation is higher than any that is published there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Literal, TypeVar

import msgspec

from sluice.admin.changes.commit_edit import stage_config_change
from sluice.admin.changes.recoverable_indexes import RecoverableIndexes
from sluice.admin.session.channel import Channel
from sluice.admin.session.commit_plan import commit_plan
from sluice.catalog.binding import Binding, binding_object
from sluice.catalog.commit import Amendment
from sluice.catalog.entry import Entries, Entry, Pin, Record, listing_digest
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.errors import Archived, Changed, Corrupt, TooNew, Unavailable
from sluice.layout import Subdir
from sluice.limits import NAMES_AT_ONCE, REBIND_EXAMPLES_MAX
from sluice.merge.apply_staging import EntryEdits
from sluice.merge.generation_writer import GenerationWriter
from sluice.merge.plan import CommitPlan
from sluice.publish.fence import Stamp
from sluice.reconcile.listing import Listing, list_subdir
from sluice.storage.object_id import ObjectId
from sluice.storage.versioned_object import (
    LOST,
    ObjectVersion,
    Swap,
    VersionedObject,
    commit_loop,
    read_newest,
)
from sluice.takeover.existing_index import ExistingIndex, read_existing_index, with_unpatched

T = TypeVar("T")


class SubdirRebound(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one subdir of the catalog with the bucket."""

    subdir: str
    generation: int | None
    """The new generation; ``None`` if nothing was committed."""
    packages: int
    """Records in the catalog."""
    there: int
    """Records whose files are in the bucket with the same size."""
    missing: list[str]
    """Some files that are not in the bucket."""
    missing_count: int
    changed: list[str]
    """Some files that have another size in the bucket."""
    changed_count: int
    taken_over: int
    """Records of the published index that the catalog does not have."""
    pins: int
    """Files that stay pinned out."""
    lost_pins: list[str]
    """Pinned files that have other content now: they will be indexed."""
    missing_pins: list[str]
    """Pinned files that are not in the bucket."""


@dataclass(slots=True)
class _Comparison:
    """One subdir of the catalog, compared with the bucket."""

    existing_index: ExistingIndex
    """Records of the published index that the catalog does not have."""
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    edits: dict[str, EntryEdits] = field(default_factory=dict)
    """By package name: pins that are anchored to another object."""
    pins: int = 0
    lost_pins: list[str] = field(default_factory=list)
    missing_pins: list[str] = field(default_factory=list)


class SubdirRebinder:
    """Compares and moves one subdir."""

    def __init__(self, channel: Channel, subdir: Subdir, brake_days: int) -> None:
        self._channel = channel
        self._subdir = subdir
        self._brake_days = brake_days
        self.damaged: dict[str, Corrupt] = {}
        """By package name: errors of leaves that cannot be read; these names stay as they are."""

    def compare(self) -> SubdirRebound | None:
        """Compare without changes; ``None`` if there is nothing to compare.

        Raises ``Corrupt`` if head or tree cannot be read, the errors of ``read_existing_index``,
        and ``Unavailable``.
        """

        def read(version: ObjectVersion[Head]) -> SubdirRebound | None:
            if version.value.tree is None:
                return None
            catalog, tree = self._open(version)
            listing = list_subdir(self._channel.public, self._subdir)
            return self._report(tree, self._compare(tree, catalog, listing), None)

        return read_newest(head_object(self._channel.state, self._subdir), read)

    def move(self, moving: ObjectVersion[Binding | None]) -> SubdirRebound | None:
        """Commit the subdir for this bucket, under a binding that is being moved.

        ``None`` if the subdir has no commit yet: then only the head moves.  Raises the errors of
        ``compare``, and ``Unavailable`` also if another rebind has begun.
        """
        channel = self._channel
        versioned = head_object(channel.state, self._subdir)

        def attempt(version: ObjectVersion[Head]) -> SubdirRebound | Literal[Swap.LOST] | None:
            # After the head was read, as everywhere: another rebind marks the binding first.
            if binding_object(channel.state, channel.name).read().etag != moving.etag:
                raise Unavailable(
                    f"another rebind of the channel {channel.name!r} is in progress. Try again "
                    "later"
                )
            if version.value.tree is not None:
                return self._commit(versioned, version)
            # The head moves without a tree, so that a concurrent first commit loses.
            head = version.value.next_epoch(channel.new_id())
            return LOST if versioned.swap(head, expected=version.etag) is LOST else None

        return commit_loop(versioned, attempt)

    def _open(self, version: ObjectVersion[Head]) -> tuple[CatalogReader, Tree]:
        self.damaged = {}
        catalog = CatalogReader(self._channel.state, self._subdir, self._channel.executor)
        return catalog, catalog.tree(version.value.tree)

    def _commit(
        self, versioned: VersionedObject[Head], version: ObjectVersion[Head]
    ) -> SubdirRebound | Literal[Swap.LOST]:
        """Commit the next generation."""
        channel, subdir = self._channel, self._subdir
        catalog, tree = self._open(version)
        # Marks are deleted: they record when readers of the old bucket last needed a generation.
        channel.state.delete([subdir.marks_key])
        listing = list_subdir(channel.public, subdir)
        compared = self._compare(tree, catalog, listing)
        rules = catalog.rules(tree)
        existing_index = compared.existing_index
        if rules.instructions is not None:
            existing_index = with_unpatched(existing_index, channel.public, subdir)
        generation = max(existing_index.generation, self._published_generation(listing))
        plan = CommitPlan(
            committed_at=max(channel.clock(), tree.at + 1),
            rules=rules,
            public=tree.public or bool(existing_index.names),
            existing_index=replace(existing_index, generation=generation),
            rerender_names=self._names_without_shard(tree),
            edits=compared.edits,
            amendment=Amendment(reason=f"The catalog is bound to the bucket {channel.bucket}."),
        )
        committed = commit_plan(
            versioned,
            version,
            tree,
            plan,
            writer=GenerationWriter(channel.runtime, subdir, catalog),
            new_id=channel.new_id,
            before_commit=partial(stage_config_change, channel, subdir),
        )
        if committed is LOST:
            return LOST
        return self._report(tree, compared, committed.head.generation)

    def _published_generation(self, listing: Listing) -> int:
        """The highest generation of any index file there."""
        keys = [self._subdir.file_key(file) for file in listing.index_files]
        infos = self._channel.executor.map(self._channel.public.head, keys)
        stamps = (Stamp.parse(info.metadata) for info in infos if info)
        return max((stamp.generation for stamp in stamps if stamp), default=0)

    def _names_without_shard(self, tree: Tree) -> frozenset[str]:
        """The names whose shards are not in the bucket."""
        folder = self._subdir.shards
        listed = self._channel.public.list(folder.prefix)
        stored = {folder.digest_of(info.key) for info in listed}
        return frozenset(
            name
            for name, node in tree.names.items()
            if node.shard and node.shard.hex() not in stored and name not in self.damaged
        )

    # --- the comparison ---------------------------------------------------------------------

    def _compare(self, tree: Tree, catalog: CatalogReader, listing: Listing) -> _Comparison:
        channel, subdir = self._channel, self._subdir
        indexes = RecoverableIndexes(channel.public, channel.state, subdir)
        existing_index = read_existing_index(indexes, subdir, channel.executor, self._brake_days)
        # All files of the other names are known and exist.  The digest of a name with a pin never
        # matches, see ``entry.listed_files``.
        differing = {
            name
            for name, node in tree.names.items()
            if node.listing != listing_digest(listing.listed_files(name))
        }
        unknown = {
            name: files for name, files in existing_index.names.items() if name not in tree.names
        }
        comparison = _Comparison(existing_index)
        for name, entries in self._entries(tree, catalog, sorted(differing)):
            objects = listing.names.get(name, {})
            for filename, entry in sorted(entries.items()):
                if isinstance(entry, Record):
                    _compare_record(filename, entry, objects.get(filename), comparison)
                elif isinstance(entry, Pin) and entry.identity:
                    self._compare_pin(name, filename, entry, objects.get(filename), comparison)
            unknown_files = _unknown_records(existing_index.names.get(name, {}), entries, objects)
            if unknown_files:
                unknown[name] = unknown_files
        info = existing_index.info if not tree.public else {}
        comparison.existing_index = replace(existing_index, names=unknown, info=info)
        return comparison

    def _entries(
        self, tree: Tree, catalog: CatalogReader, names: Sequence[str]
    ) -> Iterator[tuple[str, Entries]]:
        """The entries of some names; unreadable ones go to ``damaged``."""
        for batch in chunks(names, NAMES_AT_ONCE):
            try:
                yield from zip(
                    batch, catalog.entries([tree.names[name] for name in batch]), strict=True
                )
            except TooNew:
                raise
            except Corrupt:
                for name in batch:
                    try:
                        (entries,) = catalog.entries([tree.names[name]])
                    except TooNew:
                        raise
                    except Corrupt as error:
                        self.damaged[name] = error
                    else:
                        yield name, entries

    def _compare_pin(
        self, name: str, filename: str, pin: Pin, current: ObjectId | None, comparison: _Comparison
    ) -> None:
        if current is None:
            comparison.missing_pins.append(filename)
            return
        anchored = self._anchor(self._subdir.file_key(filename), pin, current)
        if anchored is None:
            comparison.lost_pins.append(filename)
            return
        comparison.pins += 1
        if anchored != pin:
            edits: dict[str, Entry | None] = {filename: anchored}
            comparison.edits[name] = {**comparison.edits.get(name, {}), **edits}

    def _anchor(self, key: str, pin: Pin, current: ObjectId) -> Pin | None:
        """The pin on the current object; ``None`` if that is known to be another.

        A multipart copy has another ETag, and so has one under another key of KMS.  Then the
        SHA-256 decides if the pin has one, and otherwise the size alone: a package that somebody
        has pinned out must not come back only because it has no digest.
        """
        identity = pin.identity
        if identity is None or identity.size != current.size:
            return None
        if identity.etag != current.etag and pin.sha256:
            digest = self._sha256(key, current)
            if digest is not None and digest != pin.sha256:
                return None
        return msgspec.structs.replace(pin, identity=current)

    def _sha256(self, key: str, current: ObjectId) -> str | None:
        """The digest of exactly that object; ``None`` if it cannot be read."""
        hasher = sha256()
        try:
            with self._channel.public.open(key) as opened:
                if opened is None or ObjectId.from_info(opened.info) != current:
                    raise Unavailable(f"{key} changed while it was read. Try again")
                if opened.info.sha256:
                    return opened.info.sha256
                for chunk in opened.chunks:
                    hasher.update(chunk)
        except Archived:
            return None
        except Changed as error:
            raise Unavailable(f"{key} changed while it was read. Try again") from error
        return hasher.hexdigest()

    def _report(self, tree: Tree, compared: _Comparison, generation: int | None) -> SubdirRebound:
        absent = len(compared.missing) + len(compared.changed)
        return SubdirRebound(
            subdir=self._subdir.name,
            generation=generation,
            packages=tree.records,
            there=tree.records - absent,
            missing=compared.missing[:REBIND_EXAMPLES_MAX],
            missing_count=len(compared.missing),
            changed=compared.changed[:REBIND_EXAMPLES_MAX],
            changed_count=len(compared.changed),
            taken_over=compared.existing_index.record_count,
            pins=compared.pins,
            lost_pins=compared.lost_pins,
            missing_pins=compared.missing_pins,
        )


def _compare_record(
    filename: str, entry: Record, current: ObjectId | None, comparison: _Comparison
) -> None:
    if current is None:
        comparison.missing.append(filename)
    elif entry.identity and current.size != entry.identity.size:
        comparison.changed.append(filename)


def _unknown_records(
    published: Mapping[str, T], ours: Entries, objects: Mapping[str, ObjectId]
) -> dict[str, T]:
    """An index's records of files that the catalog does not know, or knows as another object."""
    return {
        filename: record
        for filename, record in published.items()
        if not _is_known(ours.get(filename), objects.get(filename))
    }


def _is_known(entry: Entry | None, current: ObjectId | None) -> bool:
    if entry is None:
        return False
    return entry.identity is None or current is None or entry.identity.size == current.size
