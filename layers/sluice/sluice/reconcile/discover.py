"""Discovery of the subdirs of a bucket, so that no list of channels is needed.

Each phase is one walk through keys in order, which can continue after any key.  The walk through
the channel bucket also lists the subdirs in it.  Each key is listed once, whatever else is in the
bucket, and shards are not listed at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sluice.conda.names import NO_NAME, PACKAGE_SUFFIXES, is_subdir
from sluice.extract.misplaced import MisplacedTally
from sluice.layout import (
    Subdir,
    is_package_file,
    key_after_prefix,
    parse_shard_key,
    parse_state_key,
    parse_subdir_folder,
    state_prefix,
)
from sluice.limits import KEYS_PER_STOP_CHECK
from sluice.reconcile.cursor import Cursor, Phase, Unfinished
from sluice.reconcile.listing import INDEX_FILES, Listing
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo, ObjectStore


@dataclass(frozen=True, slots=True)
class DiscoveredSubdir:
    """A subdir, or only a position at which the walk may stop."""

    resume: Cursor
    """The position after this one, where the walk continues."""
    subdir: Subdir | None = None
    listing: Listing | None = None
    """The listing of the subdir, if the walk has made one."""


@dataclass(slots=True)
class Discovery:
    """The walks of one step."""

    channel: ObjectStore
    state: ObjectStore
    prefixes: tuple[str, ...]
    """Key prefixes of the subdirs to find."""
    only_channel: str | None
    """Only this channel; ``None``: all."""
    misplaced: MisplacedTally = field(default_factory=MisplacedTally)
    """The misplaced files that the walk through the channel bucket has passed."""
    _discovered: set[Subdir] = field(default_factory=set)
    """Subdirs found in this step.  It only saves requests: the content of a subdir decides its
    phase."""

    def walk(self, cursor: Cursor) -> Iterator[DiscoveredSubdir]:
        """Yield every subdir after ``cursor`` once, in all remaining phases.

        Each position at which the walk may stop is after the previous one.
        """
        walks = {
            Phase.PACKAGES: self._packages,
            Phase.HEADS: self._heads,
            Phase.STAGING: self._staging,
        }
        phases = list(walks)
        after = cursor.after
        for phase in phases[phases.index(cursor.phase) :] if cursor.phase else []:
            for discovered in walks[phase](after):
                if discovered.subdir:
                    self._discovered.add(discovered.subdir)
                yield discovered
            after = None

    def _packages(self, after: str | None) -> Iterator[DiscoveredSubdir]:
        for prefix in self._package_prefixes():
            if after is None or after <= prefix or after.startswith(prefix):
                yield from self._walk_prefix(prefix, after)

    def _package_prefixes(self) -> list[str]:
        """The prefixes in order, none within another."""
        if self.only_channel is not None:
            return [f"{self.only_channel}/" if self.only_channel else ""]
        return [
            prefix
            for prefix in sorted(set(self.prefixes))
            if not any(prefix != other and prefix.startswith(other) for other in self.prefixes)
        ]

    def _walk_prefix(self, prefix: str, start_after: str | None) -> Iterator[DiscoveredSubdir]:
        """Walk through the channel bucket from after ``start_after``.

        The walk has passed a folder when it reaches a key outside it.  Until then it may find other
        subdirs within it, because a folder with a subdir's name can also be a channel.
        """
        discovered_before = self._discovered_before(start_after)
        open_folders: list[tuple[Subdir, Listing]] = []
        index_files: dict[Subdir, dict[str, ObjectId]] = {}
        folder: str | None = None
        subdir: Subdir | None = None
        for number, info in enumerate(self._all_but_shards(prefix, start_after), start=1):
            parent, _, filename = info.key.rpartition("/")
            if parent != folder:
                folder, subdir = parent, parse_subdir_folder(parent)
                while open_folders and not info.key.startswith(open_folders[-1][0].prefix):
                    yield self._close_folder(open_folders, index_files)
                if subdir and (subdir in discovered_before or not self._wants(subdir)):
                    subdir = None
            if subdir and is_package_file(filename):
                if not open_folders or open_folders[-1][0] != subdir:
                    open_folders.append((subdir, Listing()))
                self._add_package(open_folders[-1][1], filename, info)
            elif subdir and filename in INDEX_FILES:  # it may come before the first package
                index_files.setdefault(subdir, {})[filename] = ObjectId.from_info(info)
            else:
                self._count_misplaced(info.key)
            if number % KEYS_PER_STOP_CHECK == 0:
                yield DiscoveredSubdir(_resume_at(info.key, open_folders))
        while open_folders:
            yield self._close_folder(open_folders, index_files)

    def _add_package(self, listing: Listing, filename: str, info: ObjectInfo) -> None:
        """Add a package, which another tool's index may know even if it has no package's name."""
        if listing.add(filename, info) == NO_NAME:
            self._count_misplaced(info.key)

    def _count_misplaced(self, key: str) -> None:
        """Count a key, unless it is a package of another subdir or outside of the prefixes."""
        if key.endswith(PACKAGE_SUFFIXES) and key.startswith(self.prefixes):
            self.misplaced.add_key(key)

    def _close_folder(
        self,
        open_folders: list[tuple[Subdir, Listing]],
        index_files: dict[Subdir, dict[str, ObjectId]],
    ) -> DiscoveredSubdir:
        subdir, listing = open_folders.pop()
        listing.index_files = index_files.pop(subdir, {})
        return DiscoveredSubdir(
            _resume_at(key_after_prefix(subdir.prefix), open_folders), subdir, listing
        )

    def _all_but_shards(self, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
        while True:
            for info in self.channel.list(prefix, after=after):
                if shards_of := parse_shard_key(info.key):
                    after = key_after_prefix(shards_of.shards.prefix)
                    break
                yield info
            else:
                return

    def _discovered_before(self, start_after: str | None) -> set[Subdir]:
        """The subdirs around ``start_after`` that a walk up to that key has found.

        Each was found by its first package, and was handled or is in the cursor.
        """
        if start_after is None:
            return set()
        parts = start_after.split("/")[:-1]
        around = [
            Subdir("/".join(parts[:depth]), name)
            for depth, name in enumerate(parts)
            if is_subdir(name)
        ]
        firsts = [(subdir, self._first_package(subdir)) for subdir in around]
        return {subdir for subdir, first in firsts if first and first <= start_after}

    def _heads(self, after: str | None) -> Iterator[DiscoveredSubdir]:
        for number, info in enumerate(
            self.state.list(state_prefix("heads", self.only_channel), after=after), start=1
        ):
            resume = Cursor(phase=Phase.HEADS, after=info.key)
            subdir = parse_state_key(info.key)
            if subdir and self._is_new(subdir) and not self._first_package(subdir):
                yield DiscoveredSubdir(resume, subdir)
            elif number % KEYS_PER_STOP_CHECK == 0:
                yield DiscoveredSubdir(resume)

    def _staging(self, after: str | None) -> Iterator[DiscoveredSubdir]:
        while True:
            staged = self.state.list(state_prefix("staging", self.only_channel), after=after)
            subdir = next(filter(None, (parse_state_key(info.key) for info in staged)), None)
            if subdir is None:
                return
            after = key_after_prefix(subdir.staging_prefix)
            resume = Cursor(phase=Phase.STAGING, after=after)
            if (
                self._is_new(subdir)
                and self.state.head(subdir.head_key) is None
                and not self._first_package(subdir)
            ):
                yield DiscoveredSubdir(resume, subdir)
            else:
                yield DiscoveredSubdir(resume)

    def _wants(self, subdir: Subdir) -> bool:
        return (
            subdir.prefix.startswith(self.prefixes)
            and self.only_channel in (None, subdir.channel)
            # The catalog may know a channel that an earlier sluice accepted.
            and parse_subdir_folder(subdir.prefix[:-1]) is not None
        )

    def _is_new(self, subdir: Subdir) -> bool:
        return self._wants(subdir) and subdir not in self._discovered

    def _first_package(self, subdir: Subdir) -> str:
        """The key by which the walk through the channel bucket finds it; empty: it does not."""
        listing = self.channel.list(subdir.prefix, delimiter="/")
        return next((info.key for info in listing if is_package_file(_filename(info.key))), "")


def _filename(key: str) -> str:
    return key.rpartition("/")[2]


def _resume_at(key: str, open_folders: Sequence[tuple[Subdir, Listing]]) -> Cursor:
    """Continue after ``key``, and list again the folders that were open there."""
    unfinished = tuple(Unfinished(subdir) for subdir, _ in reversed(open_folders))
    return Cursor(phase=Phase.PACKAGES, after=key, unfinished=unfinished)
