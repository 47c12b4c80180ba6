"""Writes the files of one generation, in an order that never refers to what is not there yet.

Shards are immutable and were written with the commit.  Then the shard index, ``repodata.json.zst``
and ``repodata.json`` follow, each behind the fence; a crash in between is finished by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from sluice import headers, zstd
from sluice.catalog.codec import digest
from sluice.catalog.commit import Head
from sluice.catalog.leaf import Entries
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree, changed_names
from sluice.concurrency import chunks
from sluice.errors import Archived, Corrupt
from sluice.keys import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.limits import NAMES_AT_ONCE
from sluice.publish import rejects, repodata, shard_index
from sluice.publish.fence import Page, Replaced, Stamp, Standing, replace, standing
from sluice.publish.repodata import Contents
from sluice.store import ObjectInfo, ObjectStore, StoredObject


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
        infos = (
            self.channel.head(subdir.public(file)) for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)
        )
        stamps = (Stamp.parse(info.metadata) for info in infos if info)
        return any(stamp and stamp.owner != self.owner for stamp in stamps)

    def publish(self, subdir: Subdir, head: Head, catalog: CatalogReader) -> Published:
        """Bring everything that is behind ``head`` up to it.

        Raises ``ForeignOwner`` where another stack publishes this channel, ``Unavailable``, and
        ``Corrupt`` where the catalog cannot be read.
        """
        if head.tree is None:
            return Published(0, 0)
        tree = catalog.tree(head.tree)
        work = _Work(self, subdir, tree, Stamp(tree.generation, head.tree, self.owner), catalog)
        if tree.public:
            work.publish_shard_index()
            work.publish_repodata()
        if tree.rejects_generation:
            work.publish_rejects()
        return Published(work.written, work.foreign)


def rejects_behind(found: ObjectInfo | None, tree: Tree, *, owner: str) -> bool:
    """Tell whether the rejects changed since the document that is there was written."""
    theirs = Stamp.parse(found.metadata) if found else None
    return theirs is None or theirs.owner != owner or theirs.generation < tree.rejects_generation


class _Work:
    """One run of the publisher over one generation."""

    def __init__(
        self, to: Publisher, subdir: Subdir, tree: Tree, stamp: Stamp, catalog: CatalogReader
    ) -> None:
        self._to = to
        self._subdir = subdir
        self._tree = tree
        self._stamp = stamp
        self._catalog = catalog
        self.written = 0
        self.foreign = 0

    def publish_shard_index(self) -> None:
        """Write ``repodata_shards.msgpack.zst``, small enough to render whole each time."""
        key = self._subdir.public(SHARD_INDEX)
        found = self._to.channel.head(key)
        if self._standing(found).behind:
            body = shard_index.render(self._tree, subdir=self._subdir.name, stamp=self._stamp)
            self._write(
                self._to.channel,
                Page(key, body, headers.index_zstd(self._to.max_age_seconds)),
                found,
                keep=self._keep_shard_index,
            )

    def publish_repodata(self) -> None:
        """Write ``repodata.json.zst``, then ``repodata.json``, from one rendering."""
        key_zst, key_json = self._subdir.public(REPODATA_ZST), self._subdir.public(REPODATA)
        found_json = self._to.channel.head(key_json)
        json_behind = self._standing(found_json).behind
        with self._to.channel.open(key_zst) as opened:
            found_zst = opened.info if opened else None
            now = self._standing(found_zst)
            if now is Standing.NEWER or not (now.behind or json_behind):
                return
            # The previous file is downloaded only where it is of use.
            previous = (
                StoredObject(opened.info, b"".join(opened.chunks))
                if opened and now is not Standing.FOREIGN
                else None
            )
        body = self._render_repodata(previous)
        if now.behind:
            page = Page(key_zst, zstd.compress(body), headers.index_zstd(self._to.max_age_seconds))
            if self._write(self._to.channel, page, found_zst).standing is Standing.NEWER:
                return
        if json_behind:
            page = Page(key_json, body, headers.index_json(self._to.max_age_seconds))
            self._write(self._to.channel, page, found_json)

    def publish_rejects(self) -> None:
        """Write the reject document, if the rejects changed since it was written."""
        key = self._subdir.rejects
        found = self._to.state.head(key)
        if not rejects_behind(found, self._tree, owner=self._stamp.owner):
            return
        nodes = [node for node in self._tree.names.values() if node.rejects]
        body = rejects.render(self._catalog.entries(nodes), subdir=self._subdir, stamp=self._stamp)
        # Nobody else writes here: another owner is what this state was called before.
        page = Page(key, body, headers.PRIVATE_JSON)
        self._write(self._to.state, page, found, adopt=True)

    def _render_repodata(self, previous: StoredObject | None) -> bytes:
        contents = self._spliced(previous) if previous else None
        # A count that is off means that the previous file was not what its stamp said.
        if contents is None or len(contents.records) != self._tree.records:
            contents = repodata.contents_of(self._leaves())
        return repodata.render(
            contents, info=self._tree.info or {}, subdir=self._subdir.name, stamp=self._stamp
        )

    def _leaves(self) -> Iterator[Entries]:
        for nodes in chunks(self._tree.names.values(), NAMES_AT_ONCE):
            yield from self._catalog.entries(nodes)

    def _spliced(self, previous: StoredObject) -> Contents | None:
        """The contents by way of the previous file, or ``None`` where that cannot be done."""
        theirs = Stamp.parse(previous.info.metadata)
        old_tree = self._catalog.find_tree(theirs.tree) if theirs else None
        if not theirs or not old_tree or old_tree.generation != theirs.generation:
            return None
        names = list(changed_names(old_tree, self._tree))
        try:
            contents = repodata.read(zstd.decompress(previous.body))
            old = self._catalog.entries([old_tree.names.get(name) for name in names])
        except Corrupt:
            # Other bytes under our metadata, or leaves that were collected: it is only a cache.
            return None
        new = self._catalog.entries([self._tree.names.get(name) for name in names])
        return repodata.splice(contents, zip(old, new, strict=True))

    def _standing(self, found: ObjectInfo | None) -> Standing:
        return standing(found, self._stamp, adopt=self._to.adopt)

    def _keep_shard_index(self) -> None:
        """Keep another tool's shard index: its shards must stay while readers may hold it."""
        with suppress(Archived):  # then no reader can get it either
            if stored := self._to.channel.get(self._subdir.public(SHARD_INDEX)):
                key = self._subdir.taken_over(digest(stored.body))
                self._to.state.put(key, stored.body, headers.PRIVATE_ZSTD)

    def _write(
        self,
        store: ObjectStore,
        page: Page,
        found: ObjectInfo | None,
        *,
        adopt: bool = False,
        keep: Callable[[], None] | None = None,
    ) -> Replaced:
        adopt = adopt or self._to.adopt
        done = replace(store, page, self._stamp, found=found, adopt=adopt, keep=keep)
        self.written += done.standing is Standing.SAME
        self.foreign += done.foreign_overwritten
        return done
