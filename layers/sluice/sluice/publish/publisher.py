"""Writes the files of one generation, in an order that never refers to what is not there yet.

Shards are immutable and were written with the commit.  Then the shard index, ``repodata.json.zst``
and ``repodata.json`` follow, and the rest, each behind the fence; a crash in between is finished
by the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sluice import headers
from sluice.catalog.codec import digest
from sluice.catalog.commit import Head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.errors import Archived
from sluice.keys import (
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
from sluice.publish import compressed, instructions, rejects, repodata, run_exports, shard_index
from sluice.publish.contents import Source
from sluice.publish.fence import (
    Page,
    Replaced,
    Stamp,
    Standing,
    companion,
    find_companion,
    replace,
    standing,
)
from sluice.publish.info import V3Summary, info_of
from sluice.publish.outputs import ALL, outputs
from sluice.store import ETag, Headers, ObjectInfo, ObjectStore, OpenObject, StoredObject


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

    def publish(
        self, subdir: Subdir, head: Head, catalog: CatalogReader, *, tidy: bool = False
    ) -> Published:
        """Bring everything that is behind ``head`` up to it.

        ``tidy``: delete what there should not be any more.
        Raises ``ForeignOwner`` where another stack publishes this channel, ``Unavailable``, and
        ``Corrupt`` where the catalog cannot be read.
        """
        if head.tree is None:
            return Published(0, 0)
        tree = catalog.tree(head.tree)
        work = _Work(self, subdir, tree, Stamp(tree.generation, head.tree, self.owner), catalog)
        if tree.public:
            work.publish_public(tidy=tidy)
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
        self._rules = catalog.rules(tree)
        self._info = info_of(tree, self._rules.config, V3Summary.of_tree(tree))
        self._source = Source(catalog, tree, self._rules)
        self.written = 0
        self.foreign = 0

    def publish_public(self, *, tidy: bool) -> None:
        """Write what clients read, and delete what they should not find."""
        wanted = outputs(self._tree, self._rules.config)
        if SHARD_INDEX in wanted:
            self._publish_shard_index()
        self._publish_repodata(wanted)
        if FROM_PACKAGES in wanted:
            self._publish_pair(FROM_PACKAGES, FROM_PACKAGES_ZST, self._render_from_packages)
        if RUN_EXPORTS in wanted:
            self._publish_pair(RUN_EXPORTS, RUN_EXPORTS_ZST, self._render_run_exports)
        if tidy or self._to.adopt:
            self._tidy([file for file in ALL if file not in wanted])

    def publish_rejects(self) -> None:
        """Write the reject document, if the rejects changed since it was written."""
        key = self._subdir.rejects
        found = self._to.state.head(key)
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
        self._write(self._to.state, page, found, adopt=True)

    def _publish_shard_index(self) -> None:
        """Write ``repodata_shards.msgpack.zst``, small enough to render whole each time."""
        key = self._subdir.public(SHARD_INDEX)
        found = self._to.channel.head(key)
        if self._standing(found).behind:
            body = shard_index.render(
                self._tree, info=self._info, subdir=self._subdir.name, stamp=self._stamp
            )
            page = Page(key, body, self._headers(SHARD_INDEX))
            self._write(self._to.channel, page, found, keep=self._keep_shard_index)

    def _publish_repodata(self, wanted: list[str]) -> None:
        """Write ``repodata.json`` in all its forms, from one rendering, the smallest first.

        It is spliced out of the first of them.
        """
        forms = [file for file in wanted if file in (REPODATA_ZST, REPODATA, REPODATA_BZ2)]
        spliced, *others = forms
        keys = {file: self._subdir.public(file) for file in forms}
        found = {file: self._to.channel.head(keys[file]) for file in others}
        behind = {file for file in others if self._standing(found[file]).behind}
        with self._to.channel.open(keys[spliced]) as opened:
            found[spliced] = opened.info if opened else None
            now = self._standing(found[spliced])
            if now is Standing.NEWER or not (now.behind or behind):
                return
            previous = _previous(opened, now)
        behind |= {spliced} if now.behind else set()
        contents = self._source.contents(
            repodata.Contents, repodata.read, previous, count=self._tree.shown
        )
        body = repodata.render(
            contents, info=self._info, subdir=self._subdir.name, stamp=self._stamp
        )
        for file in [file for file in forms if file in behind]:
            page = Page(keys[file], compressed.as_named(file, body), self._headers(file))
            if self._write(self._to.channel, page, found[file]).standing is Standing.NEWER:
                return

    def _publish_pair(
        self, file: str, file_zst: str, render: Callable[[StoredObject | None], bytes]
    ) -> None:
        """Write a file, then its compressed form, which remembers the other: three requests."""
        key, key_zst = self._subdir.public(file), self._subdir.public(file_zst)
        with self._to.channel.open(key_zst) as opened:
            found_zst = opened.info if opened else None
            now = self._standing(found_zst)
            if now is Standing.NEWER:
                return
            found = find_companion(opened.info, key) if opened and now is Standing.OLDER else None
            found = found or self._to.channel.head(key)
            behind = self._standing(found).behind
            if not (now.behind or behind):
                return
            previous = _previous(opened, now)
        body = render(previous)
        etag: ETag | None = None
        if behind:
            page = Page(key, body, self._headers(file))
            done = self._write(self._to.channel, page, found)
            if done.standing is Standing.NEWER:
                return
            etag = done.etag
        if now.behind:
            metadata = companion(etag) if etag else {}
            page = Page(key_zst, compressed.as_named(file_zst, body), self._headers(file_zst))
            self._write(self._to.channel, page.remembering(metadata), found_zst)

    def _render_from_packages(self, previous: StoredObject | None) -> bytes:
        """Also write what the patch says, where the pair that is there is of another patch."""
        patch = self._tree.inputs.patch if self._tree.inputs else None
        before = self._source.tree_of(previous)
        if before is None or not before.inputs or before.inputs.patch != patch:
            self._publish_instructions()
        contents = self._source.unpatched.contents(repodata.Contents, repodata.read, previous)
        # What a patch removes is counted here.
        info = info_of(self._tree, self._rules.config, contents.v3_summary)
        return repodata.render(contents, info=info, subdir=self._subdir.name, stamp=self._stamp)

    def _publish_instructions(self) -> None:
        key = self._subdir.public(PATCH_INSTRUCTIONS)
        found = self._to.channel.head(key)
        if self._standing(found).behind:
            body = instructions.render(self._rules.instructions, stamp=self._stamp)
            self._write(self._to.channel, Page(key, body, self._headers(key)), found)

    def _render_run_exports(self, previous: StoredObject | None) -> bytes:
        contents = self._source.contents(run_exports.Contents, run_exports.read, previous)
        return run_exports.render(contents, subdir=self._subdir.name, stamp=self._stamp)

    def _tidy(self, files: list[str]) -> None:
        """Delete files that an earlier configuration asked for, or another stack's if adopting.

        A merge that is older still may write one again, and one that is newer have written one
        since we looked; either is found by reconcile.
        """
        found = [self._to.channel.head(self._subdir.public(file)) for file in files]
        outdated = [info.key for info in found if info and self._is_outdated(info)]
        if outdated:
            self._to.channel.delete(outdated)

    def _is_outdated(self, found: ObjectInfo) -> bool:
        theirs = Stamp.parse(found.metadata)
        if theirs is None:
            return False
        if theirs.owner != self._stamp.owner:
            return self._to.adopt
        return theirs.generation < self._stamp.generation

    def _headers(self, file: str) -> Headers:
        return headers.of_index(file, self._to.max_age_seconds)

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


def _previous(opened: OpenObject | None, now: Standing) -> StoredObject | None:
    """Download the previous file, where it is of use."""
    if opened is None or now is Standing.FOREIGN:
        return None
    return StoredObject(opened.info, b"".join(opened.chunks))
