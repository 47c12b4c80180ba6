"""Writes the files of one generation, in an order that never refers to what is not there yet.

Shards are immutable and were written with the commit.  Then the shard index, ``repodata.json.zst``
and ``repodata.json`` follow, and the rest, each behind the fence; a crash in between is finished
by the next run.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sluice import headers
from sluice.catalog.codec import digest
from sluice.catalog.commit import Head, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import Gather, in_order
from sluice.config import ChannelConfig
from sluice.cycles import without_cycle_collection
from sluice.errors import Archived
from sluice.keys import (
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    PATCH_INSTRUCTIONS,
    REPODATA,
    REPODATA_BZ2,
    REPODATA_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
    Subdir,
)
from sluice.publish import instructions, rejects, repodata, run_exports, shard_index
from sluice.publish.ahead import Ahead
from sluice.publish.contents import Source
from sluice.publish.current import current
from sluice.publish.fence import Page, Stamp, replace
from sluice.publish.files import Files
from sluice.publish.info import V3Summary, info_of
from sluice.publish.outputs import ALL, outputs
from sluice.publish.previous import Previous
from sluice.store import ObjectInfo, ObjectStore

_REPODATA = (REPODATA_ZST, REPODATA, REPODATA_BZ2)
_COMPRESSED_OF_PAIRS = (CURRENT_REPODATA_ZST, FROM_PACKAGES_ZST, RUN_EXPORTS_ZST)


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing came to."""

    files_written: int
    foreign_overwritten: int
    """How many index files of other tools were overwritten."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes subdirs into one channel bucket, and their rejects into the state bucket."""

    channel: ObjectStore
    state: ObjectStore
    owner: str
    max_age_seconds: int
    """How long clients may keep an index file."""
    adopt: bool = False
    """Whether to take over what another stack publishes, instead of stopping."""

    def belongs_to_another(self, subdir: Subdir) -> bool:
        """Tell whether any index file there is another stack's; raises ``Unavailable``."""
        infos = (self.channel.head(subdir.public(file)) for file in ALL)
        stamps = (Stamp.parse(info.metadata) for info in infos if info)
        return any(stamp and stamp.owner != self.owner for stamp in stamps)

    def is_newest(self, subdir: Subdir, head: Head) -> bool:
        """Tell whether nothing was committed after ``head``; raises ``Unavailable``."""
        return read_head(self.state, subdir).head.tree == head.tree

    def look_ahead(
        self, subdir: Subdir, tree: Tree, config: ChannelConfig, gather: Gather
    ) -> Ahead:
        """Begin to read what publishing will ask for, if the files are those of ``tree`` now."""
        ahead = Ahead(self.channel, subdir)
        wanted = outputs(tree, config)
        forms = [file for file in wanted if file in _REPODATA]
        zsts = [file for file in wanted if file in _COMPRESSED_OF_PAIRS]
        heads = [file for file in wanted if file in (SHARD_INDEX, *forms[1:])]
        ahead.begin(gather, heads=heads, bodies=[*forms[:1], *zsts])
        return ahead

    def publish(
        self,
        subdir: Subdir,
        head: Head,
        catalog: CatalogReader,
        *,
        tidy: bool = False,
        ahead: Ahead | None = None,
        gather: Gather = in_order,
    ) -> Published:
        """Bring everything that is behind ``head`` up to it.

        ``tidy``: delete what there should not be any more.  ``ahead``: what was looked at already.
        Raises ``ForeignOwner`` where another stack publishes this channel, ``Unavailable``, and
        ``Corrupt`` where the catalog cannot be read.
        """
        if head.tree is None:
            return Published(0, 0)
        tree = catalog.tree(head.tree)
        stamp = Stamp(tree.generation, head.tree, self.owner)
        files = Files(
            self.channel,
            subdir,
            tree,
            stamp,
            self.max_age_seconds,
            self.adopt,
            is_newest=partial(self.is_newest, subdir, head),
            ahead=ahead or Ahead(self.channel, subdir),
            gather=gather,
        )
        work = _Work(files, self.state, catalog)
        with without_cycle_collection():
            if tree.public:
                work.publish_public(tidy=tidy or self.adopt)
            if tree.rejects_generation:
                work.publish_rejects()
        return Published(files.written, files.foreign)


def rejects_behind(found: ObjectInfo | None, tree: Tree, *, owner: str) -> bool:
    """Tell whether the rejects changed since the document that is there was written."""
    theirs = Stamp.parse(found.metadata) if found else None
    return theirs is None or theirs.owner != owner or theirs.generation < tree.rejects_generation


class _Work:
    """One run of the publisher over one generation."""

    def __init__(self, files: Files, state: ObjectStore, catalog: CatalogReader) -> None:
        self._files = files
        self._state = state
        self._subdir = files.subdir
        self._stamp = files.stamp
        self._tree = tree = files.tree
        self._catalog = catalog
        self._rules = catalog.rules(tree)
        self._info = info_of(tree, self._rules.config, V3Summary.of_tree(tree))
        self._source = Source(catalog, tree, self._rules)
        self._contents: repodata.Contents | None = None
        """Of ``repodata.json``, between the two files that are made of them."""

    def publish_public(self, *, tidy: bool) -> None:
        """Write what clients read, and delete what they should not find."""
        wanted = outputs(self._tree, self._rules.config)
        if SHARD_INDEX in wanted:
            self._publish_shard_index()
        forms = [file for file in wanted if file in _REPODATA]
        self._files.replace_forms(forms, self._render_repodata)
        if CURRENT_REPODATA in wanted:
            self._files.replace_pair(CURRENT_REPODATA, CURRENT_REPODATA_ZST, self._render_current)
        if FROM_PACKAGES in wanted:
            self._publish_from_packages()
        if RUN_EXPORTS in wanted:
            self._files.replace_pair(RUN_EXPORTS, RUN_EXPORTS_ZST, self._render_run_exports)
        if tidy:
            self._files.tidy([file for file in ALL if file not in wanted])

    def publish_rejects(self) -> None:
        """Write the reject document, if the rejects changed since it was written."""
        key = self._subdir.rejects
        found = self._state.head(key)
        if not rejects_behind(found, self._tree, owner=self._stamp.owner):
            return
        nodes = [node for node in self._tree.names.values() if rejects.tells_of(node)]
        body = rejects.render(
            self._catalog.entries(nodes),
            self._tree.inputs.problems if self._tree.inputs else [],
            config=self._rules.config,
            subdir=self._subdir,
            stamp=self._stamp,
        )
        # Nobody else writes here: another owner is what this state was called before.
        page = Page(key, body, headers.PRIVATE_JSON)
        self._files.count(replace(self._state, page, self._stamp, found=found, adopt=True))

    def _publish_shard_index(self) -> None:
        """Write ``repodata_shards.msgpack.zst``, small enough to render whole each time."""
        found = self._files.head(SHARD_INDEX)
        if self._files.standing(SHARD_INDEX, found).behind:
            body = shard_index.render(
                self._tree, info=self._info, subdir=self._subdir.name, stamp=self._stamp
            )
            self._files.replace(SHARD_INDEX, body, found, keep=self._keep_shard_index)

    def _keep_shard_index(self) -> None:
        """Keep another tool's shard index: its shards must stay while readers may hold it."""
        with suppress(Archived):  # then no reader can get it either
            if stored := self._files.store.get(self._subdir.public(SHARD_INDEX)):
                key = self._subdir.taken_over(digest(stored.body))
                self._state.put(key, stored.body, headers.PRIVATE_ZSTD)

    def _render_repodata(self, previous: Previous | None) -> bytes:
        contents = self._repodata(previous)
        if self._rules.config.current_repodata:
            self._contents = contents
        return self._rendered(contents)

    def _render_current(self, _previous: Previous | None) -> bytes:
        contents, self._contents = self._contents or self._repodata(None), None
        return self._rendered(current(contents))

    def _repodata(self, previous: Previous | None) -> repodata.Contents:
        return self._source.contents(
            repodata.Contents, repodata.read, previous, count=self._tree.shown
        )

    def _rendered(self, contents: repodata.Contents) -> bytes:
        return repodata.render(
            contents, info=self._info, subdir=self._subdir.name, stamp=self._stamp
        )

    def _publish_from_packages(self) -> None:
        """Write what there is without the patch, and what the patch says."""
        rendered = self._files.replace_pair(
            FROM_PACKAGES, FROM_PACKAGES_ZST, self._render_from_packages
        )
        if not rendered:
            self._publish_instructions()

    def _render_from_packages(self, previous: Previous | None) -> bytes:
        # What the patch says is written first, and need not be looked at while it is the same.
        patch = self._tree.inputs.patch if self._tree.inputs else None
        before = self._source.tree_of(previous)
        if before is None or not before.inputs or before.inputs.patch != patch:
            self._publish_instructions()
        contents = self._source.unpatched.contents(repodata.Contents, repodata.read, previous)
        # What a patch removes is counted here.
        info = info_of(self._tree, self._rules.config, contents.v3_summary)
        return repodata.render(contents, info=info, subdir=self._subdir.name, stamp=self._stamp)

    def _publish_instructions(self) -> None:
        found = self._files.head(PATCH_INSTRUCTIONS)
        if self._files.standing(PATCH_INSTRUCTIONS, found).behind:
            body = instructions.render(
                self._rules.instructions, stamp=self._files.stamp_of(PATCH_INSTRUCTIONS)
            )
            self._files.replace(PATCH_INSTRUCTIONS, body, found)

    def _render_run_exports(self, previous: Previous | None) -> bytes:
        contents = self._source.contents(run_exports.Contents, run_exports.read, previous)
        return run_exports.render(contents, subdir=self._subdir.name, stamp=self._stamp)
