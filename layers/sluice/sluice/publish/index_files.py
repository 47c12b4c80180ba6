"""The index files of one subdir, each replaced behind the fence by one generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sluice.catalog.tree import Tree
from sluice.concurrency import Executor
from sluice.errors import Corrupt
from sluice.layout import Subdir
from sluice.limits import CONCURRENT_COMPRESS_BYTES_MIN
from sluice.publish.compressed_variants import CompressedVariants, compress_for_name
from sluice.publish.fence import (
    FileState,
    PublishedFile,
    ReplaceResult,
    Stamp,
    companion_metadata,
    file_state,
    find_companion,
    prepare_file,
    replace_file,
)
from sluice.publish.outputs import file_stamp
from sluice.publish.prefetch import Prefetch
from sluice.publish.previous_file import PreviousFile
from sluice.publish.shared_ranges import shared_ranges
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectInfo, ObjectStore, SharedRange

RenderFile = Callable[[PreviousFile | None], bytes]
"""Renders the body of a file, from its previous version if that helps."""


@dataclass(slots=True)
class IndexFiles:
    """The index files of one subdir; counts what it writes, overwrites and deletes."""

    store: ObjectStore
    subdir: Subdir
    tree: Tree
    stamp: Stamp
    """The stamp of the tree."""
    max_age_seconds: int
    """How long clients may cache an index file."""
    adopt: bool
    """Whether another stack's files count as another tool's."""
    is_newest: Callable[[], bool]
    """Returns whether nothing was committed after the tree."""
    prefetch: Prefetch
    """Has the first HEAD of each file."""
    executor: Executor
    written: int = field(default=0, init=False)
    foreign: int = field(default=0, init=False)
    """Files of other tools that were overwritten."""
    deleted: int = field(default=0, init=False)

    def head(self, file: str) -> ObjectInfo | None:
        """Describe a file."""
        return self.prefetch.head(file)

    def stamp_of(self, file: str) -> Stamp:
        """The stamp of a file."""
        return file_stamp(file, self.tree, self.stamp)

    def state_of(self, file: str, info: ObjectInfo | None) -> FileState:
        """The relation of the current file to the one to be published; raises ``ForeignOwner``."""
        return file_state(info, self.stamp_of(file), adopt=self.adopt)

    def replace(
        self,
        file: str,
        body: bytes,
        info: ObjectInfo | None,
        *,
        metadata: Mapping[str, str] | None = None,
        archive_foreign: Callable[[], None] | None = None,
    ) -> ReplaceResult:
        """Write a file unless the same or a newer generation is there, see ``replace_file``."""
        published_file = self._published_file(file, body).with_metadata(metadata or {})
        return self.add_result(self._replace(published_file, file, info, archive_foreign))

    def start_replacing(
        self, file: str, body: bytes, info: ObjectInfo | None
    ) -> Callable[[], ReplaceResult]:
        """Do that in the background; returns a function that waits for the result."""
        published_file = self._published_file(file, body)
        pending = self.executor.submit(partial(self._replace, published_file, file, info))
        return lambda: self.add_result(pending())

    def _published_file(self, file: str, body: bytes) -> PublishedFile:
        headers = object_headers.index_file_headers(file, self.max_age_seconds)
        return PublishedFile(self.subdir.file_key(file), body, headers)

    def _replace(
        self,
        published_file: PublishedFile,
        file: str,
        info: ObjectInfo | None,
        archive_foreign: Callable[[], None] | None = None,
    ) -> ReplaceResult:
        return replace_file(
            self.store,
            published_file,
            self.stamp_of(file),
            info=info,
            adopt=self.adopt,
            archive_foreign=archive_foreign,
            is_newest=self.is_newest,
        )

    def add_result(self, result: ReplaceResult) -> ReplaceResult:
        """Count a result, and return it."""
        self.written += result.state is FileState.SAME
        self.foreign += result.foreign_overwritten
        return result

    def replace_variants(
        self, files: list[str], render: Callable[[PreviousFile | None], CompressedVariants]
    ) -> None:
        """Write a file in all its forms, from one rendering: two at once, or else in order.

        It is rendered from the previous version of the first.
        """
        first, *others = files
        infos = {file: self.head(file) for file in others}
        stale = {file for file in others if self.state_of(file, infos[file]).needs_write}
        with self.prefetch.open(first) as opened:
            infos[first] = opened.info if opened else None
            state = self.state_of(first, infos[first])
            if state is FileState.NEWER or not (state.needs_write or stale):
                return
            previous = _download(opened, state)
        stale |= {first} if state.needs_write else set()
        variants = render(previous)
        second = infos.get(others[0]) if others else None
        shared = _shared_with(second, previous, variants.body)
        del opened, previous  # as large as what it was made into
        to_write = [file for file in files if file in stale]
        if len(variants.body) > CONCURRENT_COMPRESS_BYTES_MIN and to_write[:2] == files[:2]:
            leading, following, *to_write = to_write
            if not self._replace_together(leading, following, variants, infos, shared):
                return
        elif self._are_older(to_write[:2], infos):
            leading, following, *to_write = to_write
            if not self._replace_at_once(leading, following, variants, infos):
                return
        for file in to_write:
            result = self.replace(file, variants.pop(file), infos[file])
            if result.state is FileState.NEWER:
                return

    def _are_older(self, files: Sequence[str], infos: Mapping[str, ObjectInfo | None]) -> bool:
        """Whether there are two files, both of an older generation.

        Only then do they go up at once.  A publication over nothing has to stop behind the first
        file once there is a newer head, because its merge may take the subdir for moved away.
        """
        states = [self.state_of(file, infos[file]) for file in files]
        return states == [FileState.OLDER, FileState.OLDER]

    def _replace_at_once(
        self,
        first: str,
        second: str,
        variants: CompressedVariants,
        infos: Mapping[str, ObjectInfo | None],
    ) -> bool:
        """Write two files at once, each under a condition of its own.

        Returns whether this generation is still the newest.
        """

        def replace(file: str) -> ReplaceResult:
            published_file = self._published_file(file, variants.pop(file))
            return self._replace(published_file, file, infos[file])

        pending = self.executor.submit(partial(replace, first))
        try:
            second_result = replace(second)
        finally:
            first_result = pending()
        self.add_result(first_result)
        self.add_result(second_result)
        return FileState.NEWER not in (first_result.state, second_result.state)

    def _replace_together(
        self,
        first: str,
        second: str,
        variants: CompressedVariants,
        infos: Mapping[str, ObjectInfo | None],
        shared: Sequence[SharedRange],
    ) -> bool:
        """Upload the second file while the first is compressed; it becomes visible last.

        ``shared``: the ranges of the second one that its current version has as well.

        Returns whether this generation is still the newest.
        """
        compressed = self.executor.submit(partial(variants.pop, first))
        following = self._published_file(second, variants.pop(second))
        prepared = prepare_file(
            self.store, following, self.stamp_of(second), info=infos[second], shared=shared
        )
        try:
            if self.replace(first, compressed(), infos[first]).state is FileState.NEWER:
                return False
            begun = dataclasses.replace(following, prepared=prepared)
            result = self.add_result(self._replace(begun, second, infos[second]))
        finally:
            prepared.abort()
        return result.state is not FileState.NEWER

    def replace_pair(self, file: str, file_zst: str, render: RenderFile) -> bool:
        """Write a file, then its compressed form, whose metadata names the file: three requests.

        Returns whether it was rendered.
        """
        with self.prefetch.open(file_zst) as opened:
            info_zst = opened.info if opened else None
            state_zst = self.state_of(file_zst, info_zst)
            if state_zst is FileState.NEWER:
                return False
            info: ObjectInfo | None = None
            if info_zst and state_zst is FileState.OLDER:
                info = find_companion(info_zst, self.subdir.file_key(file))
            info = info or self.head(file)
            needs_write = self.state_of(file, info).needs_write
            if not (state_zst.needs_write or needs_write):
                return False
            previous = _download(opened, state_zst)
        body = render(previous)
        del opened, previous
        etag: ETag | None = None
        if needs_write:
            result = self.replace(file, body, info)
            if result.state is FileState.NEWER:
                return True
            etag = result.etag
        if state_zst.needs_write:
            metadata = companion_metadata(etag) if etag else {}
            self.replace(file_zst, compress_for_name(file_zst, body), info_zst, metadata=metadata)
        return True

    def delete_unwanted(self, files: list[str]) -> None:
        """Delete files of an earlier configuration, or, when adopting, of another stack.

        An older merge may write one again, and a newer one may have written one after our HEAD.
        Reconcile finds both.  A merge does not wait for that: after a deletion it reads the head
        again, and publishes it if it is newer.
        """
        infos = ((file, self.store.head(self.subdir.file_key(file))) for file in files)
        outdated = [info for file, info in infos if info and self._is_outdated(file, info)]
        if outdated:
            self.store.delete([info.key for info in outdated])
            self.deleted += len(outdated)

    def _is_outdated(self, file: str, info: ObjectInfo) -> bool:
        current = Stamp.parse(info.metadata)
        if current is None:
            return False
        if current.owner != self.stamp.owner:
            return self.adopt
        return current.generation < self.stamp_of(file).generation


def _download(opened: PreviousFile | None, state: FileState) -> PreviousFile | None:
    """Read the current version, if it is of use."""
    return None if opened is None or state is FileState.FOREIGN else opened.load()


def _shared_with(
    info: ObjectInfo | None, previous: PreviousFile | None, body: bytes
) -> list[SharedRange]:
    """What a large body has in common with a file of the same generation as the previous version.

    Nothing if that version is damaged: it was not what the body was made from.
    """
    if info is None or previous is None or len(body) <= CONCURRENT_COMPRESS_BYTES_MIN:
        return []
    stamp = Stamp.parse(info.metadata)
    if stamp is None or stamp != Stamp.parse(previous.info.metadata):
        return []
    try:
        return shared_ranges(previous.content(), body)
    except Corrupt:
        return []
