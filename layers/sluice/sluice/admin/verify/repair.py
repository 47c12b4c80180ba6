"""Repairing what ``verify`` has found.

Most of it an ordinary run of ``index`` repairs, for it compares the bucket with the catalog.  What
is damaged in the catalog itself, no comparison shows and no merge would survive; that is mended
first, and in the same way as everything is changed: by writing what is new under names that never
were, and swapping the head.
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
from sluice.admin.session.progress import SILENT, Progress
from sluice.admin.standalone.index import DEFAULTS, Options, index
from sluice.admin.standalone.package_pool import Readers
from sluice.admin.standalone.report import IndexReport
from sluice.admin.verify.findings import Finding, Kind
from sluice.catalog import entry as leaves
from sluice.catalog import node as render
from sluice.catalog.codec import digest
from sluice.catalog.entry import NOT_EXTRACTED
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.channel_files.merge import ChannelMerger, merge_channel
from sluice.errors import BrokenListing, Corrupt
from sluice.layout import FROM_PACKAGES, Subdir
from sluice.merge.generation_writer import GenerationWriter
from sluice.merge.plan import CommitPlan
from sluice.publish.publisher import Publisher
from sluice.storage import object_headers
from sluice.storage.missing_objects import look_at
from sluice.storage.object_id import Identity
from sluice.storage.versioned_object import Swap, Version, commit_loop, read_newest
from sluice.storage.wrappers.unstamped import Disowned
from sluice.takeover import foreign_formats
from sluice.takeover.existing_index import Base, base_of, read_base, unpatch
from sluice.takeover.foreign_formats import ForeignIndex

_BEGINS_ANEW = frozenset({Kind.HEAD_DAMAGED, Kind.TREE_DAMAGED})
_WRITTEN_AGAIN = frozenset({Kind.FILE_FOREIGN, Kind.FILE_WRONG})
"""Beside those, an ordinary run writes what is missing or behind, and deletes what is left."""


def repair(
    channel: Channel,
    findings: Sequence[Finding],
    options: Options = DEFAULTS,
    *,
    readers: Readers | None = None,
    progress: Progress = SILENT,
) -> IndexReport:
    """Repair what was found, as far as ``Kind.repair`` says, and index the channel.

    May be killed at any point and run again.  Raises what ``index`` raises.

    >>> from sluice import verify
    >>> report = repair(channel, verify(channel).findings)
    >>> report.failures
    []
    """
    channel.bucket_check.ensure_bound(channel.name)
    by_subdir: dict[str | None, list[Finding]] = {}
    for one in findings:
        by_subdir.setdefault(one.subdir, []).append(one)
    for name, of in by_subdir.items():
        if name is not None:
            _mend_catalog(channel, channel.subdir(name), of, options.brake_days)
    wrong = [one.object for one in findings if one.kind is Kind.PACKAGE_WRONG]
    report = index(
        channel, replace(options, again=frozenset(wrong)), readers=readers, progress=progress
    )
    for name, of in by_subdir.items():
        files = frozenset(one.object for one in of if one.kind in _WRITTEN_AGAIN)
        if files and name is not None:
            _publish_again(channel, channel.subdir(name), files, options)
        elif files:
            publish_channel_again(channel, files, options.max_age_seconds)
    return report


def _mend_catalog(
    channel: Channel, subdir: Subdir, findings: Sequence[Finding], brake_days: int
) -> None:
    if any(one.kind in _BEGINS_ANEW for one in findings):
        # The next commit is a first one, which takes over the index that is there.  Marks first:
        # they are of a history that goes on from elsewhere.  With them end the days for which
        # removals have been waiting.  What was removed lately stays counted (``brake``).
        channel.state.delete([subdir.marks])
        channel.state.delete([subdir.head])
        return
    lost = {one.name for one in findings if one.kind is Kind.LEAF_DAMAGED}
    anew = {one.name for one in findings if one.kind is Kind.NODE_WRONG}
    shards = {one.name for one in findings if one.kind is Kind.SHARD_DAMAGED} - lost - anew
    anew |= {name for name in shards if name is not None and not _restore(channel, subdir, name)}
    # A verdict on the same object only yields to a better one, which any extractor's is then.
    doubted = {one.object for one in findings if one.kind is Kind.PACKAGE_WRONG}
    anew |= {one.name for one in findings if one.kind is Kind.PACKAGE_WRONG} - lost
    if lost or anew:
        _commit_anew(
            channel,
            subdir,
            lost=_named(lost),
            anew=_named(anew),
            doubted=doubted,
            brake_days=brake_days,
        )


def _named(names: Collection[str | None]) -> frozenset[str]:
    return frozenset(name for name in names if name is not None)


def _restore(channel: Channel, subdir: Subdir, name: str) -> bool:
    """Write a shard again from its leaf; tells whether that gave the bytes that were lost."""

    def restore(version: Version[Head]) -> bool:
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        tree = catalog.tree(version.value.tree)
        node = tree.names.get(name)
        if node is None or node.shard is None:
            return True  # the name is gone meanwhile, and nobody asks for its shard
        key = subdir.leaf(node.leaf.hex())
        stored = channel.state.get(key)
        if stored is None:
            return False
        leaf = leaves.decode(stored.body, what=key)
        body = render.render(name, leaf.entries, at=leaf.at, rules=catalog.rules(tree)).shard_body
        if body is None or digest(body) != node.shard.hex():
            return False  # an older sluice has rendered it
        channel.public.put(subdir.shard(node.shard.hex()), body, object_headers.SHARD)
        return True

    return read_newest(head_object(channel.state, subdir), restore)


def _commit_anew(
    channel: Channel,
    subdir: Subdir,
    *,
    lost: Collection[str],
    anew: Collection[str],
    doubted: Collection[str],
    brake_days: int,
) -> None:
    """Commit names again: ``lost`` from what is published of them, ``anew`` as they are.

    Of ``doubted``, which are keys of packages, nobody is said to have judged them.
    What was lost is marked to be read again, as everything that is taken over.  Where nothing is
    published of it either, the name leaves the catalog, and its packages are found by comparing.
    """
    versioned = head_object(channel.state, subdir)

    def attempt(version: Version[Head]) -> Committed | Literal[Swap.LOST]:
        channel.bucket_check.ensure_bound(subdir.channel)
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        parent = catalog.tree(version.value.tree)
        rules = catalog.rules(parent)
        base = _published(channel, subdir, parent, lost, brake_days)
        if rules.instructions is not None:
            base = unpatch(base, channel.public, subdir)
        for name in lost:
            if node := parent.names.get(name):
                catalog.remember_entries(node, {})
        for name in anew:
            if node := parent.names.get(name):
                entries = {
                    filename: msgspec.structs.replace(entry, extractor=NOT_EXTRACTED)
                    if subdir.public(filename) in doubted
                    else entry
                    for filename, entry in catalog.entries([node])[0].items()
                }
                catalog.remember_entries(node, entries)
        plan = CommitPlan(
            committed_at=max(channel.clock(), parent.at + 1),
            rules=rules,
            public=parent.public,
            # Only its records: the subdir goes on with the generations that it has.
            existing_index=replace(base, generation=0, info={}, shard_index=None),
            rerender_names=frozenset(name for name in {*lost, *anew} if name in parent.names),
        )
        writer = GenerationWriter(channel.public, channel.state, subdir, catalog, channel.gather)
        return commit_plan(versioned, version, parent, plan, writer=writer, new_id=channel.unique)

    commit_loop(versioned, attempt)


def _published(
    channel: Channel, subdir: Subdir, parent: Tree, names: Collection[str], brake_days: int
) -> Base:
    """What clients are told of some names: by their shards, or by the whole index without them.

    Raises ``BrokenListing``: a name whose packages are only not listed must not be lost.
    """
    nodes = [(name, parent.names[name]) for name in sorted(names) if name in parent.names]
    found = [_read_shard(channel, subdir, node) for _, node in nodes]
    try:
        if None in found:
            whole = read_base(channel.public, subdir, channel.gather, brake_days)
            known = {name: whole.names[name] for name, _ in nodes if name in whole.names}
            return replace(whole, names=known, info={}, shard_index=None)
        list_files = partial(_list_files, channel, subdir, [name for name, _ in nodes])
        return base_of(
            foreign_formats.merged([one for one in found if one], {}),
            list_files(),
            look=partial(look_at, channel.public, subdir, channel.gather),
            list_again=list_files,
            what=subdir.prefix,
            brake_days=brake_days,
        )
    except BrokenListing:
        raise
    except Corrupt:  # it is damaged, too
        return Base()


def _read_shard(channel: Channel, subdir: Subdir, node: Node) -> ForeignIndex | None:
    """A shard as another tool's; ``None`` where it is damaged."""
    if node.shard is None:
        return ForeignIndex()
    key = subdir.shard(node.shard.hex())
    stored = channel.public.get(key)
    if stored is None or digest(stored.body) != node.shard.hex():
        return None
    return foreign_formats.parse_shard(stored.body, what=key)


def _list_files(channel: Channel, subdir: Subdir, names: Sequence[str]) -> dict[str, Identity]:
    """The objects of some names, and the file that tells of them without the patch."""
    prefixes = [subdir.public(FROM_PACKAGES), *(subdir.public(f"{name}-") for name in names)]
    listed = chain.from_iterable(channel.public.list(one, delimiter="/") for one in prefixes)
    return {info.key.removeprefix(subdir.prefix): Identity.of(info) for info in listed}


def _publish_again(
    channel: Channel, subdir: Subdir, files: Collection[str], options: Options
) -> None:
    """Write files again that carry the right stamp, or whoever's, and not the right bytes."""
    public, private = Disowned(channel.public, files), Disowned(channel.state, files)
    publisher = Publisher(public, private, channel.owner or "", options.max_age_seconds)

    def publish(version: Version[Head]) -> None:
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        publisher.publish(subdir, version.value, catalog, tidy=True, gather=channel.gather)

    read_newest(head_object(channel.state, subdir), publish)


def publish_channel_again(channel: Channel, files: Collection[str], max_age_seconds: int) -> None:
    """Publish the files of the whole channel, and some (``files``: keys) no matter who wrote them.

    Raises what ``merge_channel`` raises.
    """
    merger = ChannelMerger(
        channel=Disowned(channel.public, files),
        state=channel.state,
        bucket_check=channel.bucket_check,
        owner=channel.owner or "",
        max_age_seconds=max_age_seconds,
        gather=channel.gather,
        clock=channel.clock,
        unique=channel.unique,
    )
    merge_channel(merger, channel.name)
