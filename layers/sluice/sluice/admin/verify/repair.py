"""The repair of the findings of ``verify``.

An ordinary run of ``index`` repairs most of them, because it compares the bucket with the catalog.
No comparison shows damage in the catalog itself, and no merge would survive it.  So that is
repaired first, in the same way as every change: by writing new objects under new names, and
swapping the head.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Literal

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.commit_plan import Committed, commit_plan
from sluice.admin.session.progress import NO_PROGRESS, Progress
from sluice.admin.standalone.index import DEFAULTS, IndexOptions, index
from sluice.admin.standalone.package_pool import PackageReaders
from sluice.admin.standalone.report import IndexReport
from sluice.admin.verify.findings import Defect, Finding
from sluice.catalog import entry as leaves
from sluice.catalog import node as nodes
from sluice.catalog.codec import content_digest
from sluice.catalog.entry import NOT_EXTRACTED
from sluice.catalog.head import Head, head_object
from sluice.catalog.leaf_reader import LeafReader, stored_key
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.channel_files.merge import ChannelMergeContext, merge_channel
from sluice.errors import BrokenListing, Corrupt
from sluice.layout import FROM_PACKAGES, PAGE, Subdir, channel_file_key
from sluice.merge.generation_writer import GenerationWriter
from sluice.merge.plan import CommitPlan
from sluice.publish.fence import Stamp
from sluice.publish.publisher import Publisher
from sluice.storage import object_headers
from sluice.storage.missing_objects import head_packages
from sluice.storage.object_id import ObjectId
from sluice.storage.versioned_object import ObjectVersion, Swap, commit_loop, read_newest
from sluice.storage.wrappers.unstamped import UnstampedStore
from sluice.takeover import foreign_formats
from sluice.takeover.existing_index import (
    ExistingIndex,
    build_existing_index,
    read_existing_index,
    with_unpatched,
)
from sluice.takeover.foreign_formats import ForeignIndex

_NEEDS_NEW_HISTORY = frozenset({Defect.HEAD_DAMAGED, Defect.TREE_DAMAGED})
_NEEDS_REWRITE = frozenset({Defect.FILE_FOREIGN, Defect.FILE_WRONG})
"""Findings whose files must be rewritten.  An ordinary run writes missing and stale files, and
deletes leftovers."""


def repair(
    channel: Channel,
    findings: Sequence[Finding],
    options: IndexOptions = DEFAULTS,
    *,
    readers: PackageReaders | None = None,
    progress: Progress = NO_PROGRESS,
) -> IndexReport:
    """Repair findings as ``Defect.repair`` says, and index the channel.

    May be killed at any point and run again.  Raises the errors of ``index``.

    >>> from sluice import verify
    >>> report = repair(channel, verify(channel).findings)
    >>> report.failures
    []
    """
    channel.bucket_check.ensure_bound(channel.name)
    by_subdir: dict[str | None, list[Finding]] = {}
    for finding in findings:
        by_subdir.setdefault(finding.subdir, []).append(finding)
    for name, subdir_findings in by_subdir.items():
        if name is not None:
            _repair_catalog(channel, channel.subdir(name), subdir_findings, options.brake_days)
    wrong_packages = [
        finding.object for finding in findings if finding.kind is Defect.PACKAGE_WRONG
    ]
    report = index(
        channel,
        replace(options, reread_keys=frozenset(wrong_packages)),
        readers=readers,
        progress=progress,
    )
    for name, subdir_findings in by_subdir.items():
        files = frozenset(
            finding.object for finding in subdir_findings if finding.kind in _NEEDS_REWRITE
        )
        if files and name is not None:
            _rewrite_index_files(channel, channel.subdir(name), files, options)
        elif files:
            rewrite_channel_files(channel, files, options.max_age_seconds)
    return report


def _repair_catalog(
    channel: Channel, subdir: Subdir, findings: Sequence[Finding], brake_days: int
) -> None:
    if any(finding.kind in _NEEDS_NEW_HISTORY for finding in findings):
        # The next commit is a first one, which takes over the current index.  Marks are deleted
        # first, because they belong to a history that now continues elsewhere.  With them end the
        # waiting periods of removals.  Recent removals still count (``brake``).
        channel.state.delete([subdir.marks_key])
        channel.state.delete([subdir.head_key])
        return
    lost = {finding.name for finding in findings if finding.kind is Defect.LEAF_DAMAGED}
    recommit = {finding.name for finding in findings if finding.kind is Defect.NODE_WRONG}
    shards = (
        {finding.name for finding in findings if finding.kind is Defect.SHARD_DAMAGED}
        - lost
        - recommit
    )
    recommit |= {
        name for name in shards if name is not None and not _restore_shard(channel, subdir, name)
    }
    # A verdict on the same object only yields to a better one; any extractor's is then better.
    doubted = {finding.object for finding in findings if finding.kind is Defect.PACKAGE_WRONG}
    recommit |= {
        finding.name for finding in findings if finding.kind is Defect.PACKAGE_WRONG
    } - lost
    if lost or recommit:
        _recommit_names(
            channel,
            subdir,
            lost=_without_none(lost),
            recommit=_without_none(recommit),
            doubted=doubted,
            brake_days=brake_days,
        )


def _without_none(names: Collection[str | None]) -> frozenset[str]:
    return frozenset(name for name in names if name is not None)


def _restore_shard(channel: Channel, subdir: Subdir, name: str) -> bool:
    """Write a shard again from its leaf; returns whether that gave the lost bytes."""

    def restore(version: ObjectVersion[Head]) -> bool:
        catalog = CatalogReader(channel.state, subdir, channel.executor)
        tree = catalog.tree(version.value.tree)
        node = tree.names.get(name)
        if node is None or node.shard is None:
            return True  # the name is gone meanwhile, and no client requests its shard
        leaf_body = LeafReader(channel.state, subdir).read(node)
        if leaf_body is None:
            return False
        leaf = leaves.decode_leaf(leaf_body, what=stored_key(subdir, node))
        body = nodes.render_node(
            name, leaf.entries, at=leaf.at, rules=catalog.rules(tree)
        ).shard_body
        if body is None or content_digest(body) != node.shard.hex():
            return False  # an older sluice rendered it
        channel.public.put(subdir.shard_key(node.shard.hex()), body, object_headers.SHARD_HEADERS)
        return True

    return read_newest(head_object(channel.state, subdir), restore)


def _recommit_names(
    channel: Channel,
    subdir: Subdir,
    *,
    lost: Collection[str],
    recommit: Collection[str],
    doubted: Collection[str],
    brake_days: int,
) -> None:
    """Commit names again: ``lost`` from their published records, ``recommit`` as they are.

    Entries of packages in ``doubted`` (keys) are marked as not extracted, so that a new verdict
    replaces them.  Lost entries are marked to be read again, as all that are taken over.  A name
    without published records leaves the catalog, and a comparison finds its packages.
    """
    versioned = head_object(channel.state, subdir)

    def attempt(version: ObjectVersion[Head]) -> Committed | Literal[Swap.LOST]:
        channel.bucket_check.ensure_bound(subdir.channel)
        catalog = CatalogReader(channel.state, subdir, channel.executor)
        parent = catalog.tree(version.value.tree)
        rules = catalog.rules(parent)
        base = _read_published(channel, subdir, parent, lost, brake_days)
        if rules.instructions is not None:
            base = with_unpatched(base, channel.public, subdir)
        for name in lost:
            if node := parent.names.get(name):
                catalog.cache_entries(node, {})
        for name in recommit:
            if node := parent.names.get(name):
                entries = {
                    filename: msgspec.structs.replace(entry, extractor=NOT_EXTRACTED)
                    if subdir.file_key(filename) in doubted
                    else entry
                    for filename, entry in catalog.entries([node])[0].items()
                }
                catalog.cache_entries(node, entries)
        plan = CommitPlan(
            committed_at=max(channel.clock(), parent.at + 1),
            rules=rules,
            public=parent.public,
            # Only its records: the subdir keeps its own generations.
            existing_index=replace(base, generation=0, info={}, shard_index=None),
            rerender_names=frozenset(name for name in {*lost, *recommit} if name in parent.names),
        )
        writer = GenerationWriter(channel.runtime, subdir, catalog)
        return commit_plan(versioned, version, parent, plan, writer=writer, new_id=channel.new_id)

    commit_loop(versioned, attempt)


def _read_published(
    channel: Channel, subdir: Subdir, parent: Tree, names: Collection[str], brake_days: int
) -> ExistingIndex:
    """The published records of some names: from their shards, or else from the whole index.

    Raises ``BrokenListing``: a name must not be lost only because a listing leaves out its
    packages.
    """
    named_nodes = [(name, parent.names[name]) for name in sorted(names) if name in parent.names]
    shards = [_read_shard(channel, subdir, node) for _, node in named_nodes]
    try:
        if None in shards:
            full_index = read_existing_index(channel.public, subdir, channel.executor, brake_days)
            known = {
                name: full_index.names[name] for name, _ in named_nodes if name in full_index.names
            }
            return replace(full_index, names=known, info={}, shard_index=None)
        list_files = partial(_list_files, channel, subdir, [name for name, _ in named_nodes])
        return build_existing_index(
            foreign_formats.merge_shards([shard for shard in shards if shard], {}),
            list_files(),
            find_existing=partial(head_packages, channel.public, subdir, channel.executor),
            list_again=list_files,
            label=subdir.prefix,
            brake_days=brake_days,
        )
    except BrokenListing:
        raise
    except Corrupt:  # it is damaged, too
        return ExistingIndex()


def _read_shard(channel: Channel, subdir: Subdir, node: Node) -> ForeignIndex | None:
    """A shard, parsed as another tool's; ``None`` if it is damaged."""
    if node.shard is None:
        return ForeignIndex()
    key = subdir.shard_key(node.shard.hex())
    stored = channel.public.get(key)
    if stored is None or content_digest(stored.body) != node.shard.hex():
        return None
    return foreign_formats.parse_shard(stored.body, source=key)


def _list_files(channel: Channel, subdir: Subdir, names: Sequence[str]) -> dict[str, ObjectId]:
    """The objects of some names, and the index file without the patch."""
    prefixes = [subdir.file_key(FROM_PACKAGES), *(subdir.file_key(f"{name}-") for name in names)]
    listed = chain.from_iterable(channel.public.list(prefix, delimiter="/") for prefix in prefixes)
    return {info.key.removeprefix(subdir.prefix): ObjectId.from_info(info) for info in listed}


def _rewrite_index_files(
    channel: Channel, subdir: Subdir, files: Collection[str], options: IndexOptions
) -> None:
    """Rewrite files with wrong content, whatever their stamp."""
    public, private = UnstampedStore(channel.public, files), UnstampedStore(channel.state, files)
    publisher = Publisher(public, private, channel.owner or "", options.max_age_seconds)
    is_public = any(file.startswith(subdir.prefix) for file in files)

    def publish(version: ObjectVersion[Head]) -> None:
        catalog = CatalogReader(channel.state, subdir, channel.executor)
        publisher.publish(
            subdir,
            version.value,
            catalog,
            tidy=True,
            revives=is_public,
            executor=channel.executor,
        )

    read_newest(head_object(channel.state, subdir), publish)


def rewrite_channel_files(channel: Channel, files: Collection[str], max_age_seconds: int) -> None:
    """Publish the files of the whole channel, and rewrite some (``files``: keys) of any owner.

    Raises the errors of ``merge_channel``.
    """
    page = channel_file_key(channel.name, PAGE)
    info = channel.public.head(page) if page in files else None
    if info and Stamp.parse(info.metadata):  # without it the page would be kept as somebody's own
        channel.public.delete([page])
    merger = ChannelMergeContext(
        replace(channel.runtime, channel=UnstampedStore(channel.public, files)),
        bucket_check=channel.bucket_check,
        owner=channel.owner or "",
        max_age_seconds=max_age_seconds,
    )
    merge_channel(merger, channel.name)
