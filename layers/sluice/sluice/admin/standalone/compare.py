"""Comparing a subdir with its catalog as reconcile does, with all requests begun at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.in_process_queues import HeldLooks, HeldRequests, HeldStaging
from sluice.admin.standalone.listing import list_in_parts
from sluice.catalog import tree as trees
from sluice.catalog.head import decode_head, head_object
from sluice.conda.names import NOARCH
from sluice.errors import Missing, SluiceError
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir, config_key
from sluice.limits import INDEX_TIME_LEFT_MS
from sluice.merge.warm_cache import Remembered
from sluice.reconcile.context import Reconciler, Request
from sluice.reconcile.cursor import Unfinished
from sluice.reconcile.listing import Listing, list_subdir
from sluice.reconcile.report import SubdirReport
from sluice.reconcile.subdir import Part, changed_meanwhile, reconcile
from sluice.storage.object_store import ObjectInfo, StoredObject
from sluice.storage.versioned_object import Version
from sluice.storage.wrappers.prefetching import Foreseen

_LOOKED_AT = (SHARD_INDEX, REPODATA_ZST, REPODATA)
"""What has most likely been written since it was looked at last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What comparing needs, and where it leaves what it finds."""

    channel: Channel
    state: HeldStaging
    uploads: HeldLooks
    merges: HeldRequests
    remembered: Remembered
    """By the merges that follow."""
    debounce_seconds: int
    retention_days: int
    re_extract: bool
    adopt: bool
    brake_days: int
    confirm: str | None
    on_listed: Callable[[Listing], None]
    """Is told of each listing, by any thread."""

    def compare(self, subdir: Subdir) -> Part:
        """Compare a subdir, and hold what is to be done about it.

        Garbage is left to be collected.  What is wrong with the subdir is in the report.
        """
        gather = self.channel.gather
        public, state = Foreseen(self.channel.public, gather), Foreseen(self.state, gather)
        head = gather.start(partial(self.state.get, subdir.head))  # first: all waits for it
        left = gather.start(partial(self._first_left, subdir))
        state.begin_get(subdir.marks)
        public.begin_list(config_key(subdir.channel))
        for file in _LOOKED_AT:
            public.begin_head(subdir.public(file))
        if subdir.name != NOARCH:
            public.begin_head(Subdir(subdir.channel, NOARCH).public(REPODATA))
        try:
            listing = self._list(subdir, state, head())
            if left() is None:
                self.state.empty.add(subdir.staging)
        except SluiceError as error:
            report = SubdirReport(channel=subdir.channel, subdir=subdir.name)
            report.failure = f"{type(error).__name__}: {error}"
            return Part(report, None)
        self.on_listed(listing)
        world = Reconciler(
            channel=public,
            state=state,
            bucket=self.channel.bucket,
            uploads=self.uploads,
            merges=self.merges,
            continuations=self.merges,
            gather=gather,
            clock=self.channel.clock,
            unique=self.channel.unique,
            debounce_seconds=self.debounce_seconds,
            owner=self.channel.owner or "",
            retention_days=self.retention_days,
            defaults=self.channel.defaults,
            brake_days=self.brake_days,
        )
        request = Request(
            channel=subdir.channel,
            re_extract=self.re_extract,
            adopt=self.adopt,
            confirm=self.confirm,
        )
        return reconcile(
            world,
            request,
            Unfinished(subdir),
            listing,
            time_left_ms=plenty,
            run="",  # of one step, which has nothing to hand on
            collects=False,
        )

    def _list(self, subdir: Subdir, state: Foreseen, stored: StoredObject | None) -> Listing:
        """List the subdir, in parts where the catalog tells where to cut."""
        state.keep(subdir.head, stored)
        head = decode_head(stored.body, what=subdir.head) if stored else None
        if stored is None or head is None or head.tree is None:
            return list_subdir(self.channel.public, subdir)
        version = Version(head, stored.info.etag)
        self.remembered.keep_head(subdir, version)
        key = subdir.tree(head.tree)
        body = self.state.get(key)
        state.keep(key, body)
        if body is None:
            with head_object(self.channel.state, subdir).unless_superseded(version):
                raise Missing(key, kind="tree", referrer=subdir.head)
            raise changed_meanwhile(subdir)
        tree = trees.decode(body.body, what=key)
        self.remembered.keep_tree(subdir, head.tree, tree)
        return list_in_parts(self.channel.public, subdir, tree, self.channel.gather)

    def _first_left(self, subdir: Subdir) -> ObjectInfo | None:
        """What others have staged and no merge has taken yet, if anything."""
        return next(iter(self.channel.state.list(subdir.staging)), None)


def plenty() -> int:
    """How many ms are left: nobody stops this process."""
    return INDEX_TIME_LEFT_MS
