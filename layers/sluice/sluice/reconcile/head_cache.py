"""Looking at the files in the folder of a subdir, no oftener than there is something to be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, Subdir
from sluice.publish.fence import Stamp
from sluice.reconcile.context import ReconcileContext
from sluice.reconcile.listing import Listing
from sluice.reconcile.reconcile_cache import CachedHead, ReconcileCache
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag, ObjectInfo, describe_object

IsUpToDate = Callable[[str, Stamp | None], bool]
"""Tells whether nothing is to be done about a file that has this stamp."""


class HeadCache:
    """What reconcile sees of one subdir, and remembers of it."""

    def __init__(
        self, ctx: ReconcileContext, subdir: Subdir, listing: Listing, cache: ReconcileCache
    ) -> None:
        self._ctx = ctx
        self._subdir = subdir
        self._noarch_indexes: list[ObjectInfo | None] = []
        """One, once it was looked at.  (Until Python 3.12 a ``cached_property`` holds one lock for
        all instances while it looks.)"""
        self.noarch_patch = cache.noarch
        """What is known of it; replace it with what is read."""
        self._cached_heads = {
            file: cached_head
            for file, cached_head in cache.files.items()
            if listing.index_files.get(file) == cached_head.identity
        }

    @property
    def cache(self) -> ReconcileCache:
        """What is worth remembering by now."""
        return ReconcileCache(files=self._cached_heads, noarch=self.noarch_patch)

    def heads(
        self, files: Sequence[str], is_up_to_date: IsUpToDate
    ) -> dict[str, ObjectInfo | None]:
        """Describe index files; raises ``Unavailable``.

        Those are not asked for that are in order by what is remembered of the versions that were
        listed.
        """
        known = {
            file: self._cached_info(file, cached_head)
            for file in files
            if (cached_head := self._cached_heads.get(file))
            and is_up_to_date(file, cached_head.stamp)
        }
        others = [file for file in files if file not in known]
        keys = [self._subdir.file_key(file) for file in others]
        infos = self._ctx.executor.map(self._ctx.channel.head, keys)
        fetched = dict(zip(others, infos, strict=True))
        for file, info in fetched.items():
            self._store(file, info)
        return {file: known[file] if file in known else fetched[file] for file in files}

    def noarch_index(self) -> ObjectInfo | None:
        """The channel's ``noarch/repodata.json``, asked for once; raises ``Unavailable``.

        ``None`` where there is none; without metadata where S3 keeps that from us.
        """
        if not self._noarch_indexes:
            key = Subdir(self._subdir.channel, NOARCH).file_key(REPODATA)
            self._noarch_indexes.append(describe_object(self._ctx.channel, key))
        return self._noarch_indexes[0]

    def _cached_info(self, file: str, cached_head: CachedHead) -> ObjectInfo:
        """As HEAD would, as far as anybody asks."""
        return ObjectInfo(
            key=self._subdir.file_key(file),
            etag=ETag(cached_head.identity.etag),
            size=cached_head.identity.size,
            modified=cached_head.identity.modified,
            metadata=cached_head.stamp.metadata if cached_head.stamp else {},
        )

    def _store(self, file: str, info: ObjectInfo | None) -> None:
        self._cached_heads.pop(file, None)
        if info:
            stamp = Stamp.parse(info.metadata)
            self._cached_heads[file] = CachedHead(identity=ObjectId.from_info(info), stamp=stamp)
