"""Looking at the files in the folder of a subdir, no oftener than there is something to be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, Subdir
from sluice.publish.fence import Stamp
from sluice.reconcile.context import Reconciler
from sluice.reconcile.listing import Listing
from sluice.reconcile.reconcile_cache import Memory, Sight
from sluice.storage.object_id import Identity
from sluice.storage.object_store import ETag, ObjectInfo, look

InOrder = Callable[[str, Stamp | None], bool]
"""Tells whether nothing is to be done about a file that has this stamp."""


class Looks:
    """What reconcile sees of one subdir, and remembers of it."""

    def __init__(self, world: Reconciler, subdir: Subdir, listing: Listing, memory: Memory) -> None:
        self._world = world
        self._subdir = subdir
        self._noarch_indexes: list[ObjectInfo | None] = []
        """One, once it was looked at.  (Until Python 3.12 a ``cached_property`` holds one lock for
        all instances while it looks.)"""
        self.patch_of_noarch = memory.noarch
        """What is known of it; replace it with what is read."""
        self._sights = {
            file: sight
            for file, sight in memory.files.items()
            if listing.index_files.get(file) == sight.identity
        }

    @property
    def memory(self) -> Memory:
        """What is worth remembering by now."""
        return Memory(files=self._sights, noarch=self.patch_of_noarch)

    def at(self, files: Sequence[str], in_order: InOrder) -> dict[str, ObjectInfo | None]:
        """Describe index files; raises ``Unavailable``.

        Those are not asked for that are in order by what is remembered of the versions that were
        listed.
        """
        known = {
            file: self._described(file, sight)
            for file in files
            if (sight := self._sights.get(file)) and in_order(file, sight.stamp)
        }
        others = [file for file in files if file not in known]
        keys = [self._subdir.public(file) for file in others]
        infos = self._world.gather(self._world.channel.head, keys)
        seen = dict(zip(others, infos, strict=True))
        for file, info in seen.items():
            self._remember(file, info)
        return {file: known[file] if file in known else seen[file] for file in files}

    def noarch_index(self) -> ObjectInfo | None:
        """The channel's ``noarch/repodata.json``, asked for once; raises ``Unavailable``.

        ``None`` where there is none; without metadata where S3 keeps that from us.
        """
        if not self._noarch_indexes:
            key = Subdir(self._subdir.channel, NOARCH).public(REPODATA)
            self._noarch_indexes.append(look(self._world.channel, key))
        return self._noarch_indexes[0]

    def _described(self, file: str, sight: Sight) -> ObjectInfo:
        """As HEAD would, as far as anybody asks."""
        return ObjectInfo(
            key=self._subdir.public(file),
            etag=ETag(sight.identity.etag),
            size=sight.identity.size,
            modified=sight.identity.modified,
            metadata=sight.stamp.metadata if sight.stamp else {},
        )

    def _remember(self, file: str, info: ObjectInfo | None) -> None:
        self._sights.pop(file, None)
        if info:
            stamp = Stamp.parse(info.metadata)
            self._sights[file] = Sight(identity=Identity.of(info), stamp=stamp)
