"""Finds and reads old generations, by number or by a time at which they were the newest.

Garbage collection may run meanwhile and delete objects that only old generations refer to.  So an
object that is missing during the read means one of two things, and this module decides which: the
generation is no longer kept, or the catalog is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sluice.admin.session.channel import Channel
from sluice.catalog.client_view import RenderRules
from sluice.catalog.commit import Commit, decode_commit
from sluice.catalog.entry import Entries
from sluice.catalog.head import Head, head_object
from sluice.catalog.leaf_reader import stored_key
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.errors import Missing, Misused, NotFound
from sluice.layout import Subdir
from sluice.limits import NAMES_AT_ONCE
from sluice.reconcile.publication_log import Mark, read_marks
from sluice.storage.versioned_object import ObjectVersion, read_newest

GenerationRef = int | datetime
"""A generation, or a time: the generation that was the newest then."""

_AGE = re.compile(r"(\d+)\s*(s|m|h|d|w)[a-z]*(\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_generation_ref(text: str, *, now: datetime) -> GenerationRef:
    """Parse ``17``, ``2026-11-27T14:00``, ``2026-11-27`` or ``2h``; raises ``Misused``.

    A time without a zone is in UTC, as all times that sluice shows.
    """
    stripped = text.strip()
    if stripped.isdecimal():
        return int(stripped)
    if age := _AGE.fullmatch(stripped.lower()):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        at = datetime.fromisoformat(stripped)
    except ValueError:
        raise Misused(
            f"{text!r} is not a generation (17) or a time (2026-11-27T14:00Z, 2h)"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def iter_commits(channel: Channel, subdir: Subdir, head: Head) -> Iterator[Commit]:
    """The kept history behind a head, newest first.

    Raises ``Missing`` if even the first is missing, to which the head refers, and ``Corrupt``.
    """
    digest = head.commit
    while digest is not None:
        key = subdir.commit_key(digest)
        stored = channel.state.get(key)
        if stored is None and digest == head.commit:
            raise Missing(key, kind="commit", referrer=subdir.head_key)
        if stored is None:  # collected, as all before it
            return
        commit = decode_commit(stored.body, what=key)
        yield commit
        digest = commit.parent


def find_commit(channel: Channel, subdir: Subdir, head: Head, ref: GenerationRef) -> Commit:
    """The commit of a generation, or the last one at a time.

    Raises ``NotFound``, which says how far back the history goes, and the errors of
    ``iter_commits``.
    """
    newest = f": the newest is {head.generation}"
    oldest: Commit | None = None
    for commit in iter_commits(channel, subdir, head):
        if _matches(commit, ref):
            return commit
        if isinstance(ref, int) and commit.generation < ref:
            raise NotFound(_not_found_message(subdir, ref, oldest, newest))
        oldest = commit
    raise NotFound(_not_found_message(subdir, ref, oldest, newest))


def find_commits(channel: Channel, subdir: Subdir, *refs: GenerationRef) -> list[Commit]:
    """The commits of some generations, in the history behind the current head.

    Raises ``NotFound``, see ``find_commit``, ``Unavailable`` and ``Corrupt``.
    """

    def read(version: ObjectVersion[Head]) -> list[Commit]:
        return [find_commit(channel, subdir, version.value, ref) for ref in refs]

    return read_newest(head_object(channel.state, subdir), read)


@dataclass(frozen=True, slots=True)
class OldGeneration:
    """The content of a generation, as long as it is kept.

    Each method raises ``NotFound`` if the generation was collected, ``Unavailable`` and
    ``Corrupt``.
    """

    channel: Channel
    subdir: Subdir
    commit: Commit
    catalog: CatalogReader
    """The catalog of the subdir."""

    def tree(self) -> Tree:
        """The tree of the generation."""
        with self._reporting_collected():
            return self.catalog.tree(self.commit.tree)

    def rules(self) -> RenderRules:
        """What decided, besides its leaves, what clients saw."""
        with self._reporting_collected():
            return self.catalog.rules(self.catalog.tree(self.commit.tree))

    def entries(self, names: Iterable[str]) -> dict[str, Entries]:
        """The entries of some package names, in the names' order."""
        entries_by_name: dict[str, Entries] = {}
        with self._reporting_collected():
            nodes = self.catalog.tree(self.commit.tree).names
            for batch in chunks(names, NAMES_AT_ONCE):
                entries = self.catalog.entries([nodes.get(name) for name in batch])
                entries_by_name.update(zip(batch, entries, strict=True))
        return entries_by_name

    @contextmanager
    def _reporting_collected(self) -> Iterator[None]:
        try:
            yield
        except Missing as missing:
            if self._must_exist(missing.key):
                raise
            raise NotFound(self._collected_message) from missing

    def _must_exist(self, key: str) -> bool:
        """Whether a missing object should exist, because garbage collection may not delete it.

        The collection keeps all that the head reaches, and the retention boundary with all
        generations since.  It records the boundary before it deletes anything, so this reads the
        record after an object was missing.
        """
        boundary = read_marks(self.channel.state, self.subdir).marks.boundary
        if boundary and boundary.generation <= self.commit.generation:
            return True
        return read_newest(
            head_object(self.channel.state, self.subdir), partial(self._is_reachable, key, boundary)
        )

    def _is_reachable(self, key: str, boundary: Mark | None, version: ObjectVersion[Head]) -> bool:
        if version.value.tree == self.commit.tree:
            return True
        catalog = CatalogReader(self.channel.state, self.subdir, self.channel.executor)
        trees = [catalog.tree(version.value.tree)]
        # A later collection may have deleted the tree of what was the boundary a moment ago.
        trees += filter(None, [catalog.find_tree(boundary.tree)] if boundary else [])
        return any(key in self._referenced_keys(tree) for tree in trees)

    def _referenced_keys(self, tree: Tree) -> Iterator[str]:
        """The keys of all objects in the state that a tree refers to."""
        for node in tree.names.values():
            yield stored_key(self.subdir, node)
        if tree.inputs and tree.inputs.patch and tree.inputs.patch.instructions:
            yield self.subdir.patches.key(tree.inputs.patch.instructions)

    @property
    def _collected_message(self) -> str:
        address = f"s3://{self.channel.bucket}/{self.subdir.prefix.rstrip('/')}"
        return (
            f"generation {self.commit.generation} of {self.subdir.prefix} has been "
            "garbage-collected: content is kept for RetentionDays after a later generation is "
            f"published. To list the available generations, run: sluice log {address}"
        )


def _not_found_message(
    subdir: Subdir, ref: GenerationRef, oldest: Commit | None, otherwise: str
) -> str:
    """The reason why a generation is not available; ``oldest``: the last commit that was read."""
    what = str(ref) if isinstance(ref, int) else f"from {format_time(ref)} or before"
    kept = otherwise
    if oldest:
        time = format_time(commit_time(oldest))
        kept = f": the oldest available is {oldest.generation}, from {time}"
    return f"{subdir.prefix} has no generation {what}{kept}"


def generation_time(channel: Channel, subdir: Subdir, generation: int) -> datetime:
    """The commit time of a generation of a subdir; raises ``NotFound`` and ``Corrupt``."""
    return commit_time(find_commits(channel, subdir, generation)[0])


def commit_time(commit: Commit) -> datetime:
    """The time of a commit."""
    return datetime.fromtimestamp(commit.at / 1000, UTC)


def format_time(at: datetime) -> str:
    """Format a time for people, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _matches(commit: Commit, ref: GenerationRef) -> bool:
    if isinstance(ref, int):
        return commit.generation == ref
    return commit_time(commit) <= ref
