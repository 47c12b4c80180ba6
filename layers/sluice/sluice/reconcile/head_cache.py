"""Cached HEADs of the files of a subdir, sent only if a file may have changed."""

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
"""Returns whether a file with this stamp needs no work."""


class HeadCache:
    """What reconcile knows of one subdir's files in this run, and keeps for later runs."""

    def __init__(
        self, ctx: ReconcileContext, subdir: Subdir, listing: Listing, cache: ReconcileCache
    ) -> None:
        self._ctx = ctx
        self._subdir = subdir
        self._noarch_indexes: list[ObjectInfo | None] = []
        """One element, after the HEAD.  (Until Python 3.12, ``cached_property`` holds one lock for
        all instances during the call.)"""
        self.noarch_patch = cache.noarch
        """What is known of noarch's patch; replace it with a newer value."""
        self._cached_heads = {
            file: cached_head
            for file, cached_head in cache.files.items()
            if listing.index_files.get(file) == cached_head.identity
        }

    @property
    def cache(self) -> ReconcileCache:
        """The values to cache for the next run."""
        return ReconcileCache(files=self._cached_heads, noarch=self.noarch_patch)

    def heads(
        self, files: Sequence[str], is_up_to_date: IsUpToDate
    ) -> dict[str, ObjectInfo | None]:
        """Describe index files; raises ``Unavailable``.

        Sends no HEAD for files whose listed versions are up to date according to the cache.
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
        """The channel's ``noarch/repodata.json``, requested once; raises ``Unavailable``.

        ``None`` if there is none; without metadata if S3 does not permit its HEAD.
        """
        if not self._noarch_indexes:
            key = Subdir(self._subdir.channel, NOARCH).file_key(REPODATA)
            self._noarch_indexes.append(describe_object(self._ctx.channel, key))
        return self._noarch_indexes[0]

    def _cached_info(self, file: str, cached_head: CachedHead) -> ObjectInfo:
        """The result of a HEAD, as far as callers use it."""
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
