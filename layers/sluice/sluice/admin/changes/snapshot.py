"""A channel as it was, published as another channel, without copying a package.

The index of each subdir is made anew of the leaves of an old generation, and says by its
``base_url`` (CEP 15) that the packages lie where they have always been.  A package that is gone
since, or holds something else, is left out and named.  What is deleted later is missing from then
on: a snapshot keeps indexes, not packages.  Its shards are its own, so it outlives the garbage
collection of the channel.

A snapshot stays what it is, for nothing takes it for a channel that is to be kept up to date:

- It has neither a head nor packages, so no walk of reconcile finds it.
- Its files name an owner of their own, so no stack ever publishes over them.  Whoever uploads a
  package into it has a merge that says so, and commits nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import msgspec

from sluice.admin.changes.snapshot_writer import FrozenSubdir
from sluice.admin.history.generations import OldGeneration, commits, shown, when
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.catalog.client_view import PLAIN, Rules
from sluice.catalog.commit import Commit
from sluice.catalog.entry import Entries, Entry, Record
from sluice.catalog.head import BEFORE_FIRST, Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import EMPTY, Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.errors import Misused, NotFound, Occupied
from sluice.layout import Subdir, channel_component, parse_shard_key, state_folder
from sluice.limits import NAMES_AT_ONCE
from sluice.publish.fence import Stamp, snapshot_owner
from sluice.reconcile.listing import list_subdir
from sluice.storage.object_id import Identity
from sluice.storage.versioned_object import Version, read_newest


class SubdirSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot has of one subdir.  Files are in order."""

    subdir: str
    generation: int
    """The one that was the newest then; 0 for a ``noarch`` that the channel did not have."""
    committed_at: int
    """ms since the epoch."""
    packages: int
    gone: list[str]
    """Files that are not in the bucket any more."""
    changed: list[str]
    """Files that hold something else now."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as it was."""

    url: str
    """``s3://bucket/channel``"""
    of: str
    """The channel's."""
    at: int
    """As of when, ms since the epoch."""
    subdirs: list[SubdirSnapshot]


def snapshot(
    channel: Channel, into: Channel, at: datetime, *, base_url: str | None = None
) -> Snapshot:
    """Publish ``channel`` as it was ``at`` some time as the channel ``into``, which must be empty.

    ``base_url``: where clients find the packages of the channel, absolute, or relative to the
    snapshot's channel; ``None``: at ``s3://bucket/channel``.  conda takes an absolute one only.

    One that was interrupted may be begun again.  Raises ``NotFound`` where the history does not
    go back so far, also where it is collected while it is read; what was published by then may be
    deleted.  Raises ``Occupied`` where anything else lies in ``into``, ``Unavailable``, and
    ``Corrupt``.

    >>> from dataclasses import replace
    >>> from sluice.admin.history.generations import time_of
    >>> first = time_of(channel, channel.subdir("linux-64"), 1)
    >>> found = snapshot(channel, replace(channel, name="then"), first)
    >>> [(one.subdir, one.generation, one.packages) for one in found.subdirs]
    [('linux-64', 1, 1), ('noarch', 0, 0)]
    """
    work = _Snapshot(channel, into, at, base_url or f"s3://{channel.bucket}/{channel.name}")
    return work.take()


@dataclass(frozen=True, slots=True)
class _Then:
    """One subdir as it was."""

    subdir: Subdir
    tree: Tree
    rules: Rules
    generation: OldGeneration | None
    """``None`` where there was none."""


class _Snapshot:
    """One snapshot to be taken."""

    def __init__(self, channel: Channel, into: Channel, at: datetime, base_url: str) -> None:
        self._channel = channel
        self._into = into
        self._at = at
        self._base_url = base_url
        # Another moment, or another channel, is another owner: they do not overwrite each other.
        name = f"{channel.bucket}/{channel_component(channel.name)}"
        self._owner = snapshot_owner(f"{name} at {at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")

    def take(self) -> Snapshot:
        """Look at everything first: what cannot be done leaves nothing."""
        self._check_that_it_is_free()
        thens = list(self._subdirs())
        if not any(then.tree.public for then in thens):
            raise NotFound(
                f"s3://{self._channel.bucket}/{self._channel.name} had no index {shown(self._at)}"
            )
        return Snapshot(
            url=f"s3://{self._into.bucket}/{self._into.name}",
            of=f"s3://{self._channel.bucket}/{self._channel.name}",
            at=int(self._at.timestamp() * 1000),
            subdirs=[self._publish(then) for then in thens],
        )

    def _subdirs(self) -> Iterator[_Then]:
        """The subdirs that there were, and ``noarch``, without which it is no channel (CEP 26)."""
        noarch = self._channel.subdir(NOARCH)
        for subdir in sorted({*find_subdirs(self._channel), noarch}):
            commit = read_newest(
                head_object(self._channel.state, subdir), partial(self._find, subdir)
            )
            then = self._then(subdir, commit)
            if then.tree.public or subdir == noarch:
                yield then

    def _then(self, subdir: Subdir, commit: Commit | None) -> _Then:
        if commit is None:
            return _Then(subdir, self._nothing, PLAIN, None)
        catalog = CatalogReader(self._channel.state, subdir, self._channel.gather)
        generation = OldGeneration(self._channel, subdir, commit, catalog)
        return _Then(subdir, generation.tree(), generation.rules(), generation)

    def _find(self, subdir: Subdir, version: Version[Head]) -> Commit | None:
        """The newest commit at the time; ``None`` where the first was later."""
        first: Commit | None = None
        head = version.value
        for commit in commits(self._channel, subdir, head):
            if when(commit) <= self._at:
                return commit
            first = commit
        if (first and first.parent is None) or head == BEFORE_FIRST.value:
            return None
        kept = f" to {shown(when(first))}" if first else ""
        raise NotFound(f"the history of {subdir.prefix} does not go back so far, only{kept}")

    @property
    def _nothing(self) -> Tree:
        return msgspec.structs.replace(EMPTY, at=int(self._at.timestamp() * 1000))

    # --- the place for it ------------------------------------------------------------------

    def _check_that_it_is_free(self) -> None:
        """Refuse to write where anything is that is not of this very snapshot."""
        into = self._into
        if not into.name:
            raise Misused("a snapshot cannot be the channel at the root of a bucket")
        if any(into.state.list(state_folder("heads", into.name))):
            raise Occupied(f"s3://{into.bucket}/{into.name} is a channel that sluice indexes")
        for info in into.public.list(f"{into.name}/"):
            if parse_shard_key(info.key) is None and not self._is_ours(info.key):
                raise Occupied(
                    f"s3://{into.bucket}/{into.name} is to hold nothing but the snapshot, and has "
                    f"{info.key}: name another place, or delete what is there"
                )

    def _is_ours(self, key: str) -> bool:
        info = self._into.public.head(key)
        stamp = Stamp.parse(info.metadata) if info else None
        return info is None or (stamp is not None and stamp.owner == self._owner)

    # --- one subdir ------------------------------------------------------------------------

    def _publish(self, then: _Then) -> SubdirSnapshot:
        there = list_subdir(self._channel.public, then.subdir).names
        frozen = FrozenSubdir(
            self._into.public,
            self._into.subdir(then.subdir.name),
            then.tree,
            then.rules,
            self._owner,
            self._channel.gather,
        )
        missing = _Missing()
        for some in chunks(sorted(then.tree.names), NAMES_AT_ONCE):
            found = then.generation.entries(some) if then.generation else {}
            kept = {
                name: missing.without(entries, there.get(name, {}))
                for name, entries in found.items()
            }
            frozen.add(kept)
        frozen.publish(
            base_url=f"{self._base_url_of_subdirs}/{then.subdir.name}/",
            relations=self._relations(frozen.rules.config.relations),
        )
        return SubdirSnapshot(
            subdir=then.subdir.name,
            generation=then.tree.generation,
            committed_at=then.tree.at,
            packages=frozen.packages,
            gone=sorted(missing.gone),
            changed=sorted(missing.changed),
        )

    @property
    def _base_url_of_subdirs(self) -> str:
        """The folder of the subdirs, as seen from one of the snapshot."""
        base_url = self._base_url.rstrip("/")
        return base_url if "://" in base_url or base_url.startswith("/") else f"../{base_url}"

    def _relations(self, relations: Mapping[str, str]) -> dict[str, str]:
        """Paths to other channels (CEP 42), from where the snapshot lies."""
        return {
            name: posixpath.relpath(
                posixpath.join("/", self._channel.name, reference), f"/{self._into.name}"
            )
            for name, reference in relations.items()
        }


@dataclass(slots=True)
class _Missing:
    """What cannot be in a snapshot, because its object is not there any more."""

    gone: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def without(self, entries: Entries, there: Mapping[str, Identity]) -> dict[str, Entry]:
        """The entries of one name but for those."""
        kept: dict[str, Entry] = {}
        for filename, entry in entries.items():
            found = there.get(filename)
            if not isinstance(entry, Record):
                kept[filename] = entry
            elif found is None:
                self.gone.append(filename)
            elif not entry.identity or (entry.identity.etag, entry.identity.size) != (
                found.etag,
                found.size,
            ):
                self.changed.append(filename)
            else:
                kept[filename] = entry
        return kept
