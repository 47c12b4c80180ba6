"""The files of one subdir, each replaced behind the fence by one generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from sluice.catalog.tree import Tree
from sluice.concurrency import Gather
from sluice.layout import Subdir
from sluice.limits import TOGETHER_FROM_BYTES
from sluice.publish.compressed_variants import Forms, as_named
from sluice.publish.fence import (
    Page,
    Replaced,
    Stamp,
    Standing,
    companion,
    find_companion,
    prepare,
    replace,
    standing,
)
from sluice.publish.outputs import stamp_of
from sluice.publish.prefetch import Ahead
from sluice.publish.previous_file import Previous
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectInfo, ObjectStore

Render = Callable[[Previous | None], bytes]
"""Gives the body of a file, by way of the version that is there, where that is of use."""


@dataclass(slots=True)
class Files:
    """What clients read of one subdir; counts what it does."""

    store: ObjectStore
    subdir: Subdir
    tree: Tree
    stamp: Stamp
    """Of the tree."""
    max_age_seconds: int
    """How long clients may keep an index file."""
    adopt: bool
    """Whether another stack's files count as any other tool's."""
    is_newest: Callable[[], bool]
    """Tells whether nothing was committed after the tree."""
    ahead: Ahead
    """For the first look at each file."""
    gather: Gather
    written: int = field(default=0, init=False)
    foreign: int = field(default=0, init=False)
    """How many files of other tools were overwritten."""

    def head(self, file: str) -> ObjectInfo | None:
        """Look at a file."""
        return self.ahead.head(file)

    def stamp_of(self, file: str) -> Stamp:
        """What a file is stamped with."""
        return stamp_of(file, self.tree, self.stamp)

    def standing(self, file: str, found: ObjectInfo | None) -> Standing:
        """How what is there relates to what is to be published; raises ``ForeignOwner``."""
        return standing(found, self.stamp_of(file), adopt=self.adopt)

    def replace(
        self,
        file: str,
        body: bytes,
        found: ObjectInfo | None,
        *,
        metadata: Mapping[str, str] | None = None,
        keep: Callable[[], None] | None = None,
    ) -> Replaced:
        """Write a file unless a generation as new is there, see ``fence.replace``."""
        page = self._page(file, body).remembering(metadata or {})
        return self._replace(page, file, found, keep=keep)

    def _page(self, file: str, body: bytes) -> Page:
        headers = object_headers.of_index(file, self.max_age_seconds)
        return Page(self.subdir.public(file), body, headers)

    def _replace(
        self,
        page: Page,
        file: str,
        found: ObjectInfo | None,
        *,
        keep: Callable[[], None] | None = None,
    ) -> Replaced:
        done = replace(
            self.store,
            page,
            self.stamp_of(file),
            found=found,
            adopt=self.adopt,
            keep=keep,
            is_newest=self.is_newest,
        )
        self.count(done)
        return done

    def count(self, done: Replaced) -> None:
        """Take note of what was done."""
        self.written += done.standing is Standing.SAME
        self.foreign += done.foreign_overwritten

    def replace_forms(self, files: list[str], render: Callable[[Previous | None], Forms]) -> None:
        """Write a file in all its forms, in their order, from one rendering.

        It is rendered by way of the first.
        """
        first, *others = files
        found = {file: self.head(file) for file in others}
        behind = {file for file in others if self.standing(file, found[file]).behind}
        with self.ahead.open(first) as opened:
            found[first] = opened.info if opened else None
            now = self.standing(first, found[first])
            if now is Standing.NEWER or not (now.behind or behind):
                return
            previous = _download(opened, now)
        behind |= {first} if now.behind else set()
        forms = render(previous)
        del opened, previous  # as large as what it was made into
        waiting = [file for file in files if file in behind]
        if len(forms.body) > TOGETHER_FROM_BYTES and waiting[:2] == files[:2]:
            one, other, *waiting = waiting
            if not self._replace_together(one, other, forms, found):
                return
        for file in waiting:
            done = self.replace(file, forms.take(file), found[file])
            if done.standing is Standing.NEWER:
                return

    def _replace_together(
        self, first: str, second: str, forms: Forms, found: Mapping[str, ObjectInfo | None]
    ) -> bool:
        """Send the second file while the first is compressed; nobody sees it before that one.

        Tells whether this generation still is the newest.
        """
        compressed = self.gather.start(partial(forms.take, first))
        page = self._page(second, forms.take(second))
        prepared = prepare(self.store, page, self.stamp_of(second), found=found[second])
        try:
            if self.replace(first, compressed(), found[first]).standing is Standing.NEWER:
                return False
            begun = dataclasses.replace(page, prepared=prepared)
            last = self._replace(begun, second, found[second])
        finally:
            prepared.abort()
        return last.standing is not Standing.NEWER

    def replace_pair(self, file: str, file_zst: str, render: Render) -> bool:
        """Write a file, then its compressed form, which remembers the other: three requests.

        Tells whether it had to be rendered.
        """
        with self.ahead.open(file_zst) as opened:
            found_zst = opened.info if opened else None
            now = self.standing(file_zst, found_zst)
            if now is Standing.NEWER:
                return False
            found: ObjectInfo | None = None
            if found_zst and now is Standing.OLDER:
                found = find_companion(found_zst, self.subdir.public(file))
            found = found or self.head(file)
            behind = self.standing(file, found).behind
            if not (now.behind or behind):
                return False
            previous = _download(opened, now)
        body = render(previous)
        del opened, previous
        etag: ETag | None = None
        if behind:
            done = self.replace(file, body, found)
            if done.standing is Standing.NEWER:
                return True
            etag = done.etag
        if now.behind:
            remembered = companion(etag) if etag else {}
            self.replace(file_zst, as_named(file_zst, body), found_zst, metadata=remembered)
        return True

    def tidy(self, files: list[str]) -> None:
        """Delete files that an earlier configuration asked for, or another stack's if adopting.

        A merge that is older still may write one again, and one that is newer have written one
        since we looked; either is found by reconcile.
        """
        looks = ((file, self.store.head(self.subdir.public(file))) for file in files)
        found = [info for file, info in looks if info and self._is_outdated(file, info)]
        if found:
            self.store.delete([info.key for info in found])

    def _is_outdated(self, file: str, found: ObjectInfo) -> bool:
        theirs = Stamp.parse(found.metadata)
        if theirs is None:
            return False
        if theirs.owner != self.stamp.owner:
            return self.adopt
        return theirs.generation < self.stamp_of(file).generation


def _download(opened: Previous | None, now: Standing) -> Previous | None:
    """Read the version that is there, where it is of use."""
    return None if opened is None or now is Standing.FOREIGN else opened.keep()
