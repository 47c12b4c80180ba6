"""One generation of a subdir on its way to its clients: rendered, and written file by file.

Shards are immutable and were written with the commit.  Then the shard index, ``repodata.json.zst``
and ``repodata.json`` follow, and the rest, each behind the fence; a crash in between is finished
by the next run.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sluice.catalog.codec import digest
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import Started
from sluice.errors import Archived
from sluice.layout import (
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
)
from sluice.limits import RENDERED_AHEAD_BYTES_MAX
from sluice.publish import patch_instructions, rejects_document, repodata, run_exports, shard_index
from sluice.publish.channel_info import V3Summary, info_of
from sluice.publish.compressed_variants import Forms
from sluice.publish.current_repodata import current
from sluice.publish.fence import Page, Standing, replace
from sluice.publish.gc_pause import without_cycle_collection
from sluice.publish.index_files import Files
from sluice.publish.outputs import ALL, outputs
from sluice.publish.previous_file import Previous
from sluice.publish.splice import Source
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore

REPODATA_FORMS = (REPODATA_ZST, REPODATA, REPODATA_BZ2)
"""In the order in which they are written."""


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing came to."""

    files_written: int
    foreign_overwritten: int
    """How many index files of other tools were overwritten."""


NOTHING = Published(0, 0)


class Publication:
    """One generation of one subdir."""

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
        self._early: Started[Forms | None] | None = None

    @property
    def digest(self) -> str:
        """Of the tree that is published."""
        return self._stamp.tree

    def render_ahead(self) -> None:
        """Begin to make ``repodata.json`` and its ``.zst``, before there is a head to publish.

        Only where nothing has to be read for it that is not coming already, and of an index that is
        not large: what was begun before is not to wait for it.  What a generation looks like is
        told by its tree, so there is nothing in it that could be untrue by the time it is written.
        """
        coming = self._files.ahead.coming(REPODATA_ZST)
        if coming:
            self._early = self._files.gather.start(partial(self._render_early, coming))

    def publish(self, *, tidy: bool) -> Published:
        """Bring every file that is behind this generation up to it.

        ``tidy``: delete what there should not be any more.  Raises ``ForeignOwner`` where another
        stack publishes this channel, ``Unavailable``, and ``Corrupt`` where the catalog cannot be
        read.
        """
        with without_cycle_collection():
            if self._tree.public:
                self._publish_public(tidy=tidy or self._files.adopt)
            if self._tree.rejects_generation:
                self._publish_rejects()
        return Published(self._files.written, self._files.foreign)

    def _publish_public(self, *, tidy: bool) -> None:
        """Write what clients read, and delete what they should not find."""
        wanted = outputs(self._tree, self._rules.config)
        if SHARD_INDEX in wanted:
            self._publish_shard_index()
        forms = [file for file in wanted if file in REPODATA_FORMS]
        self._files.replace_forms(forms, self._render_repodata)
        if CURRENT_REPODATA in wanted:
            self._files.replace_pair(CURRENT_REPODATA, CURRENT_REPODATA_ZST, self._render_current)
        if FROM_PACKAGES in wanted:
            self._publish_from_packages()
        if RUN_EXPORTS in wanted:
            self._files.replace_pair(RUN_EXPORTS, RUN_EXPORTS_ZST, self._render_run_exports)
        if tidy:
            self._files.tidy([file for file in ALL if file not in wanted])

    def _publish_rejects(self) -> None:
        """Write the reject document, if the rejects changed since it was written."""
        key = self._subdir.rejects
        found = self._state.head(key)
        if not rejects_document.behind(found, self._tree, owner=self._stamp.owner):
            return
        nodes = [node for node in self._tree.names.values() if rejects_document.tells_of(node)]
        body = rejects_document.render(
            self._catalog.entries(nodes),
            self._tree.inputs.problems if self._tree.inputs else [],
            config=self._rules.config,
            subdir=self._subdir,
            stamp=self._stamp,
        )
        # Nobody else writes here: another owner is what this state was called before.
        page = Page(key, body, object_headers.PRIVATE_JSON)
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
                self._state.put(key, stored.body, object_headers.PRIVATE_ZSTD)

    def _render_early(self, coming: Started[Previous | None]) -> Forms | None:
        previous = coming()
        if (
            previous is None
            or previous.info.size > RENDERED_AHEAD_BYTES_MAX
            or self._files.standing(REPODATA_ZST, previous.info) is not Standing.OLDER
            or not self._source.is_at_hand(previous)
        ):
            return None
        contents = self._source.spliced(repodata.read, previous, count=self._tree.shown)
        if contents is None:
            return None
        forms = self._forms_of(contents)
        forms.make(REPODATA_ZST)
        return forms

    def _render_repodata(self, previous: Previous | None) -> Forms:
        early, self._early = self._early, None
        return (early() if early else None) or self._forms_of(self._repodata(previous))

    def _forms_of(self, contents: repodata.Contents) -> Forms:
        if self._rules.config.current_repodata:
            self._contents = contents
        return Forms(self._rendered(contents))

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
            body = patch_instructions.render(
                self._rules.instructions, stamp=self._files.stamp_of(PATCH_INSTRUCTIONS)
            )
            self._files.replace(PATCH_INSTRUCTIONS, body, found)

    def _render_run_exports(self, previous: Previous | None) -> bytes:
        contents = self._source.contents(run_exports.Contents, run_exports.read, previous)
        return run_exports.render(contents, subdir=self._subdir.name, stamp=self._stamp)
