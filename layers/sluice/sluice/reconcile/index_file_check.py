"""Whether the published files of a subdir are those of its head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sluice.catalog.head import Head, read_head
from sluice.catalog.tree import Tree
from sluice.errors import Corrupt
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.publish import rejects_document
from sluice.publish.fence import Stamp, Standing, standing
from sluice.publish.outputs import outputs, stamp_of
from sluice.reconcile.context import Reconciler
from sluice.reconcile.head_cache import Looks
from sluice.reconcile.input_drift import settings_of
from sluice.reconcile.listing import Listing
from sluice.storage.object_store import ObjectInfo
from sluice.storage.versioned_object import Version

_INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)


@dataclass(frozen=True, slots=True)
class Files:
    """How the published files relate to the head."""

    behind: list[str]
    left_over: list[str]
    """Those of ours that there should not be any more."""
    adopted: bool
    """Some are another stack's, to be taken over."""
    published_at: int | None
    """See ``collect``."""


@dataclass(frozen=True, slots=True)
class FilesCheck:
    """Holds the files of one subdir against its head."""

    world: Reconciler
    subdir: Subdir
    version: Version[Head]
    tree: Tree
    listing: Listing
    looks: Looks
    adopt: bool
    """Whether another stack's files count as any other tool's."""

    def look(self) -> Files:
        """Look at each; raises ``ForeignOwner``, ``Unavailable``, and ``Corrupt``."""
        wanted = outputs(self.tree, settings_of(self.tree))
        unwanted = sorted(self.listing.index_files.keys() - set(wanted))
        names = wanted or [file for file in _INDEX_FILES if file in unwanted]
        infos = self.looks.at(names, self._is_in_order)
        standings = {
            file: standing(info, self._stamp_of(file), adopt=self.adopt)
            for file, info in infos.items()
        }
        stamps = [Stamp.parse(info.metadata) for info in infos.values() if info]
        return Files(
            behind=self._behind(standings),
            left_over=self._left_over(unwanted) if self.tree.public else [],
            adopted=any(stamp and stamp.owner != self.world.owner for stamp in stamps),
            published_at=self._published_at(standings, infos),
        )

    def _is_in_order(self, file: str, stamp: Stamp | None) -> bool:
        # Where nothing is public, another tool's index is none of our business.
        return stamp == (self._stamp_of(file) if self.tree.public else None)

    def _behind(self, standings: Mapping[str, Standing]) -> list[str]:
        behind: list[str] = []
        if self.tree.public:
            if Standing.NEWER in standings.values():
                self._check_that_the_head_moved_on()
            behind += [file for file, one in standings.items() if one.behind]
        if self.tree.rejects_generation:
            found = self.world.state.head(self.subdir.rejects)
            if rejects_document.behind(found, self.tree, owner=self.world.owner):
                behind.append("rejects")
        return behind

    def _left_over(self, unwanted: list[str]) -> list[str]:
        infos = self.looks.at(unwanted, lambda file, stamp: not self._is_left_over(file, stamp))
        stamps = {file: Stamp.parse(info.metadata) for file, info in infos.items() if info}
        return [file for file, stamp in stamps.items() if self._is_left_over(file, stamp)]

    def _is_left_over(self, file: str, stamp: Stamp | None) -> bool:
        mine = self._stamp_of(file)
        return bool(stamp and stamp.owner == mine.owner and stamp.generation < mine.generation)

    def _published_at(
        self, standings: Mapping[str, Standing], infos: Mapping[str, ObjectInfo | None]
    ) -> int | None:
        if not self.tree.public:
            return self._committed_at()
        if any(one is not Standing.SAME for one in standings.values()):
            return None
        return max(info.modified for info in infos.values() if info) * 1000

    def _committed_at(self) -> int | None:
        if self.version.etag is None:
            return None
        found = self.world.state.head(self.subdir.head)
        return found.modified * 1000 if found and found.etag == self.version.etag else None

    def _check_that_the_head_moved_on(self) -> None:
        """Tell a merge that was faster from a head that somebody has put back."""
        if read_head(self.world.state, self.subdir).etag == self.version.etag:
            raise Corrupt(
                f"the index is newer than {self.subdir.head}, which somebody must have put back; "
                "delete that head, and the index that is there is taken over"
            )

    def _stamp_of(self, file: str) -> Stamp:
        mine = Stamp(self.tree.generation, self.version.value.tree or "", self.world.owner)
        return stamp_of(file, self.tree, mine)
