"""Checks whether the published files of a subdir are those of its head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sluice.catalog.head import Head, read_head
from sluice.catalog.tree import Tree
from sluice.conda.timestamps import EpochMs
from sluice.errors import Corrupt
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.publish import rejects_document
from sluice.publish.buried_files import is_buried
from sluice.publish.fence import FileState, Stamp, file_state
from sluice.publish.moved_away import is_moved_away
from sluice.publish.outputs import file_stamp, wanted_outputs
from sluice.reconcile.context import ReconcileContext
from sluice.reconcile.head_cache import HeadCache
from sluice.reconcile.input_drift import config_of_tree
from sluice.reconcile.listing import Listing
from sluice.storage.object_store import ObjectInfo
from sluice.storage.versioned_object import ObjectVersion

_INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)


@dataclass(frozen=True, slots=True)
class IndexFilesStatus:
    """How the published files relate to the head."""

    stale: list[str]
    leftover: list[str]
    """Files of ours that should no longer exist."""
    adopted: bool
    """Whether some files belong to another stack, and are to be taken over."""
    published_at: EpochMs | None
    """See ``collect_subdir_garbage``."""
    moved_away: bool
    """See ``is_moved_away``."""


@dataclass(frozen=True, slots=True)
class IndexFileCheck:
    """Compares the files of one subdir with its head."""

    ctx: ReconcileContext
    subdir: Subdir
    version: ObjectVersion[Head]
    tree: Tree
    listing: Listing
    head_cache: HeadCache
    adopt: bool
    """Whether another stack's files count as another tool's."""

    def check(self) -> IndexFilesStatus:
        """Check each file; raises ``ForeignOwner``, ``Unavailable``, and ``Corrupt``."""
        wanted = wanted_outputs(self.tree, config_of_tree(self.tree))
        unwanted = sorted(self.listing.index_files.keys() - set(wanted))
        names = wanted or [file for file in _INDEX_FILES if file in unwanted]
        infos = self.head_cache.heads(names, self._is_up_to_date)
        states = {
            file: file_state(info, self._stamp_of(file), adopt=self.adopt)
            for file, info in infos.items()
        }
        stamps = [Stamp.parse(info.metadata) for info in infos.values() if info]
        moved_away = is_moved_away(
            self.tree, [*self.listing.index_files, *filter(None, infos.values())]
        )
        return IndexFilesStatus(
            stale=[
                *([] if moved_away else self._stale_files(states)),
                *self._stale_rejects(),
                *self._buried_files(unwanted),
            ],
            leftover=self._leftover_files(unwanted) if self.tree.public else [],
            adopted=any(stamp and stamp.owner != self.ctx.owner for stamp in stamps),
            published_at=self._published_at(states, infos),
            moved_away=moved_away,
        )

    def _is_up_to_date(self, file: str, stamp: Stamp | None) -> bool:
        # If nothing is public, another tool's index is not sluice's concern.
        return stamp == (self._stamp_of(file) if self.tree.public else None)

    def _stale_files(self, states: Mapping[str, FileState]) -> list[str]:
        if not self.tree.public:
            return []
        if FileState.NEWER in states.values():
            self._check_head_moved()
        return [file for file, state in states.items() if state.needs_write]

    def _stale_rejects(self) -> list[str]:
        if not self.tree.rejects_generation:
            return []
        info = self.ctx.state.head(self.subdir.rejects_key)
        is_stale = rejects_document.rejects_outdated(info, self.tree, owner=self.ctx.owner)
        return ["rejects"] if is_stale else []

    def _buried_files(self, unwanted: list[str]) -> list[str]:
        """Files that are left of a subdir that was retired; a merge deletes them."""
        if not self.version.value.is_tombstone:
            return []
        infos = self.head_cache.heads(unwanted, lambda _file, stamp: stamp is None)
        head, owner = self.version.value, self.ctx.owner
        return [file for file, info in infos.items() if is_buried(info, head, owner=owner)]

    def _leftover_files(self, unwanted: list[str]) -> list[str]:
        infos = self.head_cache.heads(
            unwanted, lambda file, stamp: not self._is_leftover(file, stamp)
        )
        stamps = {file: Stamp.parse(info.metadata) for file, info in infos.items() if info}
        return [file for file, stamp in stamps.items() if self._is_leftover(file, stamp)]

    def _is_leftover(self, file: str, stamp: Stamp | None) -> bool:
        ours = self._stamp_of(file)
        return bool(stamp and stamp.owner == ours.owner and stamp.generation < ours.generation)

    def _published_at(
        self, states: Mapping[str, FileState], infos: Mapping[str, ObjectInfo | None]
    ) -> int | None:
        if not self.tree.public:
            return self._committed_at()
        if any(state is not FileState.SAME for state in states.values()):
            return None
        return max(info.modified for info in infos.values() if info) * 1000

    def _committed_at(self) -> EpochMs | None:
        if self.version.etag is None:
            return None
        info = self.ctx.state.head(self.subdir.head_key)
        return info.modified * 1000 if info and info.etag == self.version.etag else None

    def _check_head_moved(self) -> None:
        """Distinguish a faster merge from a head that somebody restored."""
        if read_head(self.ctx.state, self.subdir).etag == self.version.etag:
            raise Corrupt(
                f"the published index is newer than {self.subdir.head_key}: an older version of "
                "the head was restored. Delete the head, and sluice takes over the published index"
            )

    def _stamp_of(self, file: str) -> Stamp:
        ours = Stamp(self.tree.generation, self.version.value.tree or "", self.ctx.owner)
        return file_stamp(file, self.tree, ours)
