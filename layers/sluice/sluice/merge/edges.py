"""The edges of a debounce window: a request is merged when it arrives, and when it is due.

The leading edge makes a single upload visible without waiting for its window.  The same message is
handed back afterwards, and comes again when it is due: the trailing edge, which merges the rest of
the window.  It is one message, so no request can have a leading edge and no trailing one.

A burst has one leading edge, because the first merge has made the head young.  Under load there is
none: a message that waited is not merged early, and one that is received when it is due is merged
once.
"""

from __future__ import annotations

from functools import partial

from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.layout import REPODATA, SHARD_INDEX, Subdir
from sluice.limits import (
    LEADING_EDGE_WAIT_MS_MAX,
    LEADING_RECORDS_MAX,
    LEADING_TAKE_OVER_BYTES_MAX,
)
from sluice.merge.context import MergeContext
from sluice.merge.publishing import Scope
from sluice.messages.delivery import Delivery
from sluice.messages.merge_request import MergeRequest
from sluice.publish.outputs import wanted_outputs
from sluice.storage.versioned_object import ObjectVersion, read_newest


def leading_edge(request: MergeRequest, delivery: Delivery, ctx: MergeContext) -> Scope | None:
    """What to publish before the request is due; ``None``: nothing is merged early.

    A request is merged early if the queue delivers it for the first time, and without delay, and if
    the subdir's last commit is older than the debounce.  Requests about files are not: what they
    check may be repaired by a merge that is under way.

    The head that was read is cached for the merge.  Raises ``Unavailable`` and ``Corrupt``.
    """
    if not request.is_about_staging or delivery.receive_count > 1:
        return None
    if delivery.waited_ms is None or delivery.waited_ms >= LEADING_EDGE_WAIT_MS_MAX:
        return None
    subdir = request.subdir
    head = head_object(ctx.state, subdir)
    version = head.read()
    if version.modified is not None:
        age_ms = ctx.clock() - version.modified * 1000
        if age_ms <= ctx.debounce_seconds * 1000:
            return None
    scope = read_newest(head, partial(_early_scope, subdir, ctx), first=version)
    if scope is not None:
        ctx.warm_cache.put_head(subdir, version)
    return scope


def is_fulfilled(request: MergeRequest, ctx: MergeContext) -> bool:
    """Whether nothing is left to do for a request.

    Staging records are deleted only after all that follows from them is published, so an empty log
    is the proof.  Raises ``Unavailable``.
    """
    if not request.is_about_staging:
        return False
    return next(iter(ctx.state.list(request.subdir.staging_prefix)), None) is None


def _early_scope(subdir: Subdir, ctx: MergeContext, version: ObjectVersion[Head]) -> Scope | None:
    """What an early merge of a commit publishes: of many records the shards, if there are any."""
    digest = version.value.tree
    if digest is None:
        return _early_scope_of_first_commit(subdir, ctx)
    catalog = CatalogReader(ctx.state, subdir, ctx.executor)
    tree = ctx.warm_cache.tree(subdir, digest) or catalog.tree(digest)
    ctx.warm_cache.put_tree(subdir, digest, tree)
    if not tree.public:
        return _early_scope_of_first_commit(subdir, ctx)
    if tree.visible_records <= LEADING_RECORDS_MAX:
        return Scope.ALL
    if ctx.channel.head(subdir.file_key(REPODATA)) is None:
        return Scope.ALL  # the shard index must not be the only file of a subdir
    has_shards = SHARD_INDEX in wanted_outputs(tree, catalog.rules(tree).config)
    return Scope.SHARDS if has_shards else None


def _early_scope_of_first_commit(subdir: Subdir, ctx: MergeContext) -> Scope | None:
    """A large index that must be taken over is left to the merge that is due."""
    existing = ctx.channel.head(subdir.file_key(REPODATA))
    if existing is not None and existing.size > LEADING_TAKE_OVER_BYTES_MAX:
        return None
    return Scope.ALL
