"""Snapshots: a past state of a channel, published as a new channel without copying packages.

The index of each subdir is rendered again from the leaves of an old generation.  Its ``base_url``
(CEP 15) refers to the original location of the packages.  A package that was deleted or overwritten
since is left out and named.  A package that is deleted later is missing from then on: a snapshot
keeps indexes, not packages.  It has its own shards, so it outlives the garbage collection of the
channel.

A snapshot never changes, because nothing treats it as a channel to index:

- It has neither a head nor packages, so no walk of reconcile finds it.
- Its files name an owner of their own, so no stack ever publishes over them.  An upload into it
  starts a merge that reports this and commits nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import msgspec

from sluice.admin.changes.snapshot_writer import SnapshotSubdirWriter
from sluice.admin.history.generations import OldGeneration, commit_time, format_time, iter_commits
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.commit import Commit
from sluice.catalog.entry import Entries, Entry, Record
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import EMPTY_TREE, Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.conda.timestamps import EpochMs
from sluice.errors import Misused, NotFound, Occupied
from sluice.layout import Subdir, channel_component, parse_shard_key, state_prefix
from sluice.limits import NAMES_AT_ONCE
from sluice.publish.fence import Stamp, snapshot_owner
from sluice.reconcile.listing import list_subdir
from sluice.storage.object_id import ObjectId
from sluice.storage.versioned_object import ObjectVersion, read_newest


class SubdirSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a snapshot for one subdir.  Files are in order."""

    subdir: str
    generation: int
    """The newest generation at that time; 0 for a ``noarch`` that the channel did not have."""
    committed_at: EpochMs
    """Commit time of the generation."""
    packages: int
    gone: list[str]
    """Files that are no longer in the bucket."""
    changed: list[str]
    """Files that have other content now."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a snapshot."""

    url: str
    """URL of the snapshot: ``s3://bucket/channel``"""
    of: str
    """URL of the original channel."""
    at: EpochMs
    """Time of the content."""
    subdirs: list[SubdirSnapshot]


def snapshot(
    channel: Channel, into: Channel, at: datetime, *, base_url: str | None = None
) -> Snapshot:
    """Publish ``channel`` as it was ``at`` some time as the channel ``into``, which must be empty.

    ``base_url``: where clients find the packages of the channel, absolute, or relative to the
    snapshot's channel; ``None``: at ``s3://bucket/channel``.  conda accepts only an absolute one.

    An interrupted snapshot can be started again.  Raises ``NotFound`` if the history does not go
    back so far, also if it is collected during the read; files published by then may be deleted.
    Raises ``Occupied`` if anything else is in ``into``, ``Unavailable``, and ``Corrupt``.

    >>> from dataclasses import replace
    >>> from sluice.admin.history.generations import generation_time
    >>> first = generation_time(channel, channel.subdir("linux-64"), 1)
    >>> copy = snapshot(channel, replace(channel, name="then"), first)
    >>> [(subdir.subdir, subdir.generation, subdir.packages) for subdir in copy.subdirs]
    [('linux-64', 1, 1), ('noarch', 1, 0)]
    """
    job = _SnapshotJob(channel, into, at, base_url or f"s3://{channel.bucket}/{channel.name}")
    return job.run()


@dataclass(frozen=True, slots=True)
class _PastSubdir:
    """One subdir as it was."""

    subdir: Subdir
    tree: Tree
    rules: RenderRules
    generation: OldGeneration | None
    """``None`` if there was none."""


class _SnapshotJob:
    """The work of one snapshot."""

    def __init__(self, channel: Channel, into: Channel, at: datetime, base_url: str) -> None:
        self._channel = channel
        self._into = into
        self._at = at
        self._base_url = base_url
        # Another time, or another channel, is another owner: they do not overwrite each other.
        name = f"{channel.bucket}/{channel_component(channel.name)}"
        self._owner = snapshot_owner(f"{name} at {at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")

    def run(self) -> Snapshot:
        """Read everything before writing, so that a failure leaves nothing behind."""
        self._check_target_is_empty()
        past_subdirs = list(self._subdirs())
        if not any(past.tree.public for past in past_subdirs):
            raise NotFound(
                f"s3://{self._channel.bucket}/{self._channel.name} had no index at "
                f"{format_time(self._at)}"
            )
        return Snapshot(
            url=f"s3://{self._into.bucket}/{self._into.name}",
            of=f"s3://{self._channel.bucket}/{self._channel.name}",
            at=int(self._at.timestamp() * 1000),
            subdirs=[self._publish(past) for past in past_subdirs],
        )

    def _subdirs(self) -> Iterator[_PastSubdir]:
        """The subdirs at that time, and ``noarch``, without which it is no channel (CEP 26)."""
        noarch = self._channel.subdir(NOARCH)
        for subdir in sorted({*find_subdirs(self._channel), noarch}):
            commit = read_newest(
                head_object(self._channel.state, subdir), partial(self._find_commit, subdir)
            )
            past = self._past_subdir(subdir, commit)
            if past.tree.public or subdir == noarch:
                yield past

    def _past_subdir(self, subdir: Subdir, commit: Commit | None) -> _PastSubdir:
        if commit is None:
            return _PastSubdir(subdir, self._empty_tree, NO_RULES, None)
        catalog = CatalogReader(self._channel.state, subdir, self._channel.executor)
        generation = OldGeneration(self._channel, subdir, commit, catalog)
        return _PastSubdir(subdir, generation.tree(), generation.rules(), generation)

    def _find_commit(self, subdir: Subdir, version: ObjectVersion[Head]) -> Commit | None:
        """The newest commit at the time; ``None`` if there was nothing."""
        first: Commit | None = None
        head = version.value
        if head.is_tombstone:
            self._require_after_retirement(subdir, version)
            return None
        for commit in iter_commits(self._channel, subdir, head):
            if commit_time(commit) <= self._at:
                return commit
            first = commit
        if first is None or first.parent is None:
            return None
        raise NotFound(
            f"the history of {subdir.prefix} goes back only to {format_time(commit_time(first))}"
        )

    def _require_after_retirement(self, subdir: Subdir, version: ObjectVersion[Head]) -> None:
        """Raise ``NotFound`` for a time before the retirement, which has deleted the history."""
        retired_at = datetime.fromtimestamp(version.modified or 0, UTC)
        if self._at < retired_at:
            raise NotFound(
                f"{subdir.prefix} was retired at {format_time(retired_at)}, which deleted its "
                "earlier history"
            )

    @property
    def _empty_tree(self) -> Tree:
        return msgspec.structs.replace(EMPTY_TREE, at=int(self._at.timestamp() * 1000))

    # --- the place for it ------------------------------------------------------------------

    def _check_target_is_empty(self) -> None:
        """Raise ``Occupied`` if the target has anything that is not of this very snapshot."""
        into = self._into
        if not into.name:
            raise Misused("a snapshot cannot be at the root of a bucket: name a folder in --to")
        if any(into.state.list(state_prefix("heads", into.name))):
            raise Occupied(
                f"s3://{into.bucket}/{into.name} is a channel that sluice indexes: choose another "
                "address in --to"
            )
        for info in into.public.list(f"{into.name}/"):
            if parse_shard_key(info.key) is None and not self._is_ours(info.key):
                raise Occupied(
                    f"s3://{into.bucket}/{into.name} must be empty, and has {info.key}: choose "
                    "another address in --to, or delete the objects there"
                )

    def _is_ours(self, key: str) -> bool:
        info = self._into.public.head(key)
        stamp = Stamp.parse(info.metadata) if info else None
        return info is None or (stamp is not None and stamp.owner == self._owner)

    # --- one subdir ------------------------------------------------------------------------

    def _publish(self, past: _PastSubdir) -> SubdirSnapshot:
        objects = list_subdir(self._channel.public, past.subdir).names
        writer = SnapshotSubdirWriter(
            self._into.public,
            self._into.subdir(past.subdir.name),
            past.tree,
            past.rules,
            self._owner,
            self._channel.executor,
        )
        missing = _MissingPackages()
        for batch in chunks(sorted(past.tree.names), NAMES_AT_ONCE):
            entries_by_name = past.generation.entries(batch) if past.generation else {}
            available = {
                name: missing.available_entries(entries, objects.get(name, {}))
                for name, entries in entries_by_name.items()
            }
            writer.add(available)
        writer.publish(
            base_url=f"{self._base_url_of_subdirs}/{past.subdir.name}/",
            relations=self._relations(writer.rules.config.relations),
        )
        return SubdirSnapshot(
            subdir=past.subdir.name,
            generation=past.tree.generation,
            committed_at=past.tree.at,
            packages=writer.packages,
            gone=sorted(missing.gone),
            changed=sorted(missing.changed),
        )

    @property
    def _base_url_of_subdirs(self) -> str:
        """The folder of the original subdirs, relative to a subdir of the snapshot."""
        base_url = self._base_url.rstrip("/")
        return base_url if "://" in base_url or base_url.startswith("/") else f"../{base_url}"

    def _relations(self, relations: Mapping[str, str]) -> dict[str, str]:
        """Paths to other channels (CEP 42), relative to the snapshot."""
        return {
            name: posixpath.relpath(
                posixpath.join("/", self._channel.name, reference), f"/{self._into.name}"
            )
            for name, reference in relations.items()
        }


@dataclass(slots=True)
class _MissingPackages:
    """Packages that are left out of a snapshot, because their objects no longer exist."""

    gone: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def available_entries(
        self, entries: Entries, objects: Mapping[str, ObjectId]
    ) -> dict[str, Entry]:
        """The entries of one name without the missing packages."""
        available: dict[str, Entry] = {}
        for filename, entry in entries.items():
            current = objects.get(filename)
            if not isinstance(entry, Record):
                available[filename] = entry
            elif current is None:
                self.gone.append(filename)
            elif not entry.identity or (entry.identity.etag, entry.identity.size) != (
                current.etag,
                current.size,
            ):
                self.changed.append(filename)
            else:
                available[filename] = entry
        return available
