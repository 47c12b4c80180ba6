"""Finding the subdirs of a bucket: nobody has to say which channels there are.

Each phase is one walk through keys in their order, which can be taken up again behind any key.  The
walk through the channel bucket is also the listing of the subdirs in it: each key is listed once,
whatever else the bucket is full of, and shards are not listed at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sluice.conda.names import PACKAGE_SUFFIXES, is_subdir
from sluice.layout import (
    Subdir,
    behind,
    parse_folder,
    parse_shard_key,
    parse_state_key,
    state_folder,
)
from sluice.limits import KEYS_PER_TICK
from sluice.reconcile.cursor import Cursor, Phase, Unfinished
from sluice.reconcile.listing import INDEX_FILES, Listing
from sluice.storage.object_id import Identity
from sluice.storage.object_store import ObjectInfo, ObjectStore


@dataclass(frozen=True, slots=True)
class Found:
    """A subdir, or just a place where the walk may be interrupted."""

    resume: Cursor
    """Where the walk goes on when this has been dealt with."""
    subdir: Subdir | None = None
    listing: Listing | None = None
    """Of the subdir, where the walk has listed it."""


@dataclass(slots=True)
class Discovery:
    """The walks of one step."""

    channel: ObjectStore
    state: ObjectStore
    prefixes: tuple[str, ...]
    """Only subdirs whose folders begin with one of these are found."""
    only: str | None
    """Only this channel; ``None``: all."""
    _found: set[Subdir] = field(default_factory=set)
    """In this step.  Only to save requests: what a subdir holds tells which phase it belongs to."""

    def walk(self, cursor: Cursor) -> Iterator[Found]:
        """Yield every subdir behind ``cursor`` once, in all phases that are left.

        Every place where the walk may be interrupted is behind the one before.
        """
        walks = {
            Phase.PACKAGES: self._packages,
            Phase.HEADS: self._heads,
            Phase.STAGING: self._staging,
        }
        phases = list(walks)
        after = cursor.after
        for phase in phases[phases.index(cursor.phase) :] if cursor.phase else []:
            for found in walks[phase](after):
                if found.subdir:
                    self._found.add(found.subdir)
                yield found
            after = None

    def _packages(self, after: str | None) -> Iterator[Found]:
        for prefix in self._package_prefixes():
            if after is None or after <= prefix or after.startswith(prefix):
                yield from self._below(prefix, after)

    def _package_prefixes(self) -> list[str]:
        """In order, none within another."""
        if self.only is not None:
            return [f"{self.only}/" if self.only else ""]
        return [
            prefix
            for prefix in sorted(set(self.prefixes))
            if not any(prefix != other and prefix.startswith(other) for other in self.prefixes)
        ]

    def _below(self, prefix: str, begin: str | None) -> Iterator[Found]:
        """Walk through the channel bucket from behind ``begin``.

        A folder has been passed when a key comes that is not in it.  Until then others may be found
        within it: a folder that is named like a subdir can be a channel as well.
        """
        before = self._found_before(begin)
        passing: list[tuple[Subdir, Listing]] = []
        index_files: dict[Subdir, dict[str, Identity]] = {}
        folder: str | None = None
        subdir: Subdir | None = None
        for number, info in enumerate(self._all_but_shards(prefix, begin), start=1):
            parent, _, filename = info.key.rpartition("/")
            if parent != folder:
                folder, subdir = parent, parse_folder(parent)
                while passing and not info.key.startswith(passing[-1][0].prefix):
                    yield self._pass(passing, index_files)
                if subdir and (subdir in before or not self._wants(subdir)):
                    subdir = None
            if subdir and filename.endswith(PACKAGE_SUFFIXES):
                if not passing or passing[-1][0] != subdir:
                    passing.append((subdir, Listing()))
                passing[-1][1].add(filename, info)
            elif subdir and filename in INDEX_FILES:  # it may come before the first package
                index_files.setdefault(subdir, {})[filename] = Identity.of(info)
            if number % KEYS_PER_TICK == 0:
                yield Found(_at(info.key, passing))
        while passing:
            yield self._pass(passing, index_files)

    def _pass(
        self,
        passing: list[tuple[Subdir, Listing]],
        index_files: dict[Subdir, dict[str, Identity]],
    ) -> Found:
        subdir, listing = passing.pop()
        listing.index_files = index_files.pop(subdir, {})
        return Found(_at(behind(subdir.prefix), passing), subdir, listing)

    def _all_but_shards(self, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
        while True:
            for info in self.channel.list(prefix, after=after):
                if shards_of := parse_shard_key(info.key):
                    after = behind(shards_of.shards.prefix)
                    break
                yield info
            else:
                return

    def _found_before(self, begin: str | None) -> set[Subdir]:
        """The subdirs around ``begin`` that a walk up to there has found.

        It was found with its first package, and it was dealt with, or is left in the cursor.
        """
        if begin is None:
            return set()
        parts = begin.split("/")[:-1]
        around = [
            Subdir("/".join(parts[:depth]), name)
            for depth, name in enumerate(parts)
            if is_subdir(name)
        ]
        firsts = [(subdir, self._first_package(subdir)) for subdir in around]
        return {subdir for subdir, first in firsts if first and first <= begin}

    def _heads(self, after: str | None) -> Iterator[Found]:
        for number, info in enumerate(
            self.state.list(state_folder("heads", self.only), after=after), start=1
        ):
            resume = Cursor(phase=Phase.HEADS, after=info.key)
            subdir = parse_state_key(info.key)
            if subdir and self._is_new(subdir) and not self._first_package(subdir):
                yield Found(resume, subdir)
            elif number % KEYS_PER_TICK == 0:
                yield Found(resume)

    def _staging(self, after: str | None) -> Iterator[Found]:
        while True:
            staged = self.state.list(state_folder("staging", self.only), after=after)
            subdir = next(filter(None, (parse_state_key(info.key) for info in staged)), None)
            if subdir is None:
                return
            after = behind(subdir.staging)
            resume = Cursor(phase=Phase.STAGING, after=after)
            if (
                self._is_new(subdir)
                and self.state.head(subdir.head) is None
                and not self._first_package(subdir)
            ):
                yield Found(resume, subdir)
            else:
                yield Found(resume)

    def _wants(self, subdir: Subdir) -> bool:
        return subdir.prefix.startswith(self.prefixes) and self.only in (None, subdir.channel)

    def _is_new(self, subdir: Subdir) -> bool:
        return self._wants(subdir) and subdir not in self._found

    def _first_package(self, subdir: Subdir) -> str:
        """The key with which the walk through the channel bucket finds it; empty: it does not."""
        listing = self.channel.list(subdir.prefix, delimiter="/")
        return next((info.key for info in listing if info.key.endswith(PACKAGE_SUFFIXES)), "")


def _at(key: str, passing: Sequence[tuple[Subdir, Listing]]) -> Cursor:
    """Go on behind ``key``, and list anew what was being passed there."""
    unfinished = tuple(Unfinished(subdir) for subdir, _ in reversed(passing))
    return Cursor(phase=Phase.PACKAGES, after=key, unfinished=unfinished)
