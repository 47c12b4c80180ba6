"""The comparison of a subdir with its catalog, as in reconcile, with all requests sent at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.in_process_queues import (
    InProcessMergeQueue,
    InProcessUploadQueue,
    LocalStagingStore,
)
from sluice.admin.standalone.listing import list_subdir_in_parts
from sluice.catalog import tree as trees
from sluice.catalog.head import decode_head, head_object
from sluice.conda.names import NOARCH
from sluice.errors import Missing, SluiceError
from sluice.layout import (
    REPODATA,
    REPODATA_ZST,
    SHARD_INDEX,
    Subdir,
    channel_binding_key,
    config_key,
)
from sluice.limits import INDEX_TIME_LEFT_MS
from sluice.merge.warm_cache import WarmCache
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.cursor import Unfinished
from sluice.reconcile.listing import Listing, list_subdir
from sluice.reconcile.report import SubdirReport
from sluice.reconcile.subdir import SubdirResult, catalog_changed_error, reconcile_subdir
from sluice.storage.object_store import ObjectInfo, StoredObject
from sluice.storage.versioned_object import ObjectVersion
from sluice.storage.wrappers.prefetching import PrefetchingStore

_PREFETCHED_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)
"""Files that have most likely been written since the last HEAD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubdirComparer:
    """Compares a subdir with its catalog, and puts the work that follows into in-process queues."""

    channel: Channel
    state: LocalStagingStore
    uploads: InProcessUploadQueue
    merges: InProcessMergeQueue
    warm_cache: WarmCache
    """The cache that the following merges use."""
    debounce_seconds: int
    retention_days: int
    re_extract: bool
    adopt: bool
    brake_days: int
    confirm: str | None
    on_listed: Callable[[Listing], None]
    """Called with each listing, by any thread."""

    def compare(self, subdir: Subdir) -> SubdirResult:
        """Compare a subdir, and queue the work that follows.

        Garbage is left to a later collection.  Errors of the subdir are in the report.
        """
        executor = self.channel.executor
        public, state = (
            PrefetchingStore(self.channel.public, executor),
            PrefetchingStore(self.state, executor),
        )
        head = executor.submit(partial(self.state.get, subdir.head_key))  # first: all wait for it
        first_staged = executor.submit(partial(self._first_staged, subdir))
        state.prefetch_get(subdir.marks_key)
        public.prefetch_list(config_key(subdir.channel))
        for file in _PREFETCHED_FILES:
            public.prefetch_head(subdir.file_key(file))
        if subdir.name != NOARCH:
            public.prefetch_head(Subdir(subdir.channel, NOARCH).file_key(REPODATA))
        try:
            listing = self._list(subdir, state, head())
            if first_staged() is None:
                self.state.known_empty_prefixes.add(subdir.staging_prefix)
        except SluiceError as error:
            report = SubdirReport(channel=subdir.channel, subdir=subdir.name)
            report.failure = f"{type(error).__name__}: {error}"
            return SubdirResult(report, None)
        self.on_listed(listing)
        ctx = ReconcileContext(
            channel=public,
            state=state,
            bucket=self.channel.bucket,
            uploads=self.uploads,
            merge_queue=self.merges,
            continuations=self.merges,
            executor=executor,
            clock=self.channel.clock,
            new_id=self.channel.new_id,
            debounce_seconds=self.debounce_seconds,
            owner=self.channel.owner or "",
            retention_days=self.retention_days,
            defaults=self.channel.defaults,
            brake_days=self.brake_days,
        )
        request = ReconcileRequest(
            channel=subdir.channel,
            re_extract=self.re_extract,
            adopt=self.adopt,
            confirm=self.confirm,
        )
        return reconcile_subdir(
            ctx,
            request,
            Unfinished(subdir),
            listing,
            time_left_ms=unlimited_time_left_ms,
            run="",  # a single step, which shares nothing
            collect_now=False,
        )

    def _list(
        self, subdir: Subdir, state: PrefetchingStore, stored: StoredObject | None
    ) -> Listing:
        """List the subdir, in parts if the catalog shows where to split."""
        state.add_prefetched(subdir.head_key, stored)
        state.prefetch_get(channel_binding_key(subdir.channel))  # after the head: see BucketCheck
        head = decode_head(stored.body, what=subdir.head_key) if stored else None
        if stored is None or head is None or head.tree is None:
            return list_subdir(self.channel.public, subdir)
        version = ObjectVersion(head, stored.info.etag)
        self.warm_cache.put_head(subdir, version)
        key = subdir.tree_key(head.tree)
        body = self.state.get(key)
        state.add_prefetched(key, body)
        if body is None:
            with head_object(self.channel.state, subdir).unless_superseded(version):
                raise Missing(key, kind="tree", referrer=subdir.head_key)
            raise catalog_changed_error(subdir)
        tree = trees.decode_tree(body.body, what=key)
        self.warm_cache.put_tree(subdir, head.tree, tree)
        return list_subdir_in_parts(self.channel.public, subdir, tree, self.channel.executor)

    def _first_staged(self, subdir: Subdir) -> ObjectInfo | None:
        """A staging record of others that no merge has handled yet, if there is one."""
        return next(iter(self.channel.state.list(subdir.staging_prefix)), None)


def unlimited_time_left_ms() -> int:
    """A ``time_left_ms`` that never runs out: this process has no timeout."""
    return INDEX_TIME_LEFT_MS
