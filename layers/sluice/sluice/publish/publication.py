"""The publication of one generation of a subdir: each of its files is rendered and written.

Shards are immutable and were written with the commit.  The shard index, ``repodata.json.zst``,
``repodata.json`` and the others follow, each behind the fence.  After a crash in between, the next
run writes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sluice.catalog.codec import content_digest
from sluice.catalog.entry import Entries
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, node_chunks
from sluice.concurrency import Pending
from sluice.errors import Archived, SluiceError
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
from sluice.limits import NAMES_AT_ONCE, PRERENDER_BYTES_MAX
from sluice.publish import patch_instructions, rejects_document, repodata, run_exports, shard_index
from sluice.publish.channel_info import V3Summary, channel_info
from sluice.publish.compressed_variants import CompressedVariants, compress_for_name
from sluice.publish.current_repodata import select_current
from sluice.publish.fence import FileState, PublishedFile, replace_file
from sluice.publish.gc_pause import gc_paused
from sluice.publish.index_files import IndexFiles
from sluice.publish.moved_away import is_moved_away
from sluice.publish.outputs import ALL_OUTPUTS, wanted_outputs
from sluice.publish.previous_file import PreviousFile
from sluice.publish.rejects_document import IssueCounts
from sluice.publish.splice import RepodataSource
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore, noop

REPODATA_VARIANTS = (REPODATA_ZST, REPODATA, REPODATA_BZ2)
"""Variants of ``repodata.json``, in the order in which they are written."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The result of publishing."""

    files_written: int
    foreign_overwritten: int
    """Index files of other tools that were overwritten."""
    files_deleted: int = 0
    """Files of an earlier configuration, or of another stack."""


NOTHING_PUBLISHED = PublishResult(0, 0)


class Publication:
    """The publication of one generation of one subdir."""

    def __init__(self, files: IndexFiles, state: ObjectStore, catalog: CatalogReader) -> None:
        self._files = files
        self._state = state
        self._subdir = files.subdir
        self._stamp = files.stamp
        self._tree = tree = files.tree
        self._catalog = catalog
        self._rules = catalog.rules(tree)
        self._info = channel_info(tree, self._rules.config, V3Summary.from_tree(tree))
        self._source = RepodataSource(catalog, tree, self._rules)
        self._contents: repodata.RepodataContents | None = None
        """The content of ``repodata.json``, kept between the two files that are made of it."""
        self._prerendered: Pending[CompressedVariants | None] | None = None
        self._precompressed: Pending[bytes] | None = None
        """The ``.zst`` of what is being rendered ahead."""

    @property
    def digest(self) -> str:
        """Digest of the tree that is published."""
        return self._stamp.tree

    def prerender(self) -> None:
        """Begin to render ``repodata.json`` and its ``.zst`` before there is a head to publish.

        Only if all that it needs is already being read, and if the index is small, so that work in
        progress need not wait for it.  The tree alone decides what a generation looks like, so the
        result cannot be outdated when it is written.
        """
        pending = self._files.prefetch.pending(REPODATA_ZST)
        if pending:
            submit = self._files.executor.submit
            self._prerendered = submit(partial(self._prerender, pending))
            self._precompressed = submit(partial(_compress_rendered, self._prerendered))

    def is_missing(self) -> bool:
        """Whether none of the index files exists; raises ``Unavailable``."""
        return not any(self._existing_files())

    def publish(self, *, tidy: bool, revives: bool = True) -> PublishResult:
        """Update every file that is older than this generation.

        ``tidy``: delete files that should no longer exist.  ``revives``: also of a subdir that was
        moved away, see ``is_moved_away``.  Raises ``ForeignOwner`` if another stack publishes this
        channel, ``Unavailable``, and ``Corrupt`` if the catalog cannot be read.
        """
        with gc_paused():
            if self._tree.public and (
                revives or not is_moved_away(self._tree, self._existing_files())
            ):
                self._publish_public(tidy=tidy or self._files.adopt)
            if self._tree.rejects_generation:
                self._publish_rejects()
        return PublishResult(self._files.written, self._files.foreign, self._files.deleted)

    def publish_shard_index(self) -> PublishResult:
        """Update the shard index alone, if there is to be one.

        Raises ``ForeignOwner``, ``Unavailable`` and ``Corrupt``, as ``publish`` does.
        """
        if SHARD_INDEX in wanted_outputs(self._tree, self._rules.config):
            with gc_paused():
                self._begin_shard_index(at_once=False)()
        return PublishResult(self._files.written, self._files.foreign)

    def _existing_files(self) -> Iterator[bool]:
        """Whether each of the files exists that this generation has, or another one had."""
        wanted = wanted_outputs(self._tree, self._rules.config)
        others = [file for file in ALL_OUTPUTS if file not in wanted]
        return map(self._files.prefetch.exists, [*wanted, *others])

    def _publish_public(self, *, tidy: bool) -> None:
        """Write the files that clients read, and delete those that should not exist."""
        wanted = wanted_outputs(self._tree, self._rules.config)
        variants = [file for file in wanted if file in REPODATA_VARIANTS]
        finish_shards = (
            self._begin_shard_index(at_once=self._is_small()) if SHARD_INDEX in wanted else noop
        )
        try:
            self._files.replace_variants(variants, self._render_repodata)
        finally:
            finish_shards()
        if CURRENT_REPODATA in wanted:
            self._files.replace_pair(CURRENT_REPODATA, CURRENT_REPODATA_ZST, self._render_current)
        if FROM_PACKAGES in wanted:
            self._publish_from_packages()
        if RUN_EXPORTS in wanted:
            self._files.replace_pair(RUN_EXPORTS, RUN_EXPORTS_ZST, self._render_run_exports)
        if tidy:
            self._files.delete_unwanted([file for file in ALL_OUTPUTS if file not in wanted])

    def _publish_rejects(self) -> None:
        """Write the reject document, if the rejects changed after its last version."""
        key = self._subdir.rejects_key
        info = self._state.head(key)
        if not rejects_document.rejects_outdated(info, self._tree, owner=self._stamp.owner):
            return
        by_name = {
            name: node
            for name, node in self._tree.names.items()
            if rejects_document.has_rejects_or_warnings(node)
        }
        nodes = list(by_name.values())
        inputs = self._tree.inputs
        body = rejects_document.render_rejects(
            self._leaves(nodes),
            inputs.problems if inputs else [],
            channel_warnings=(inputs.warnings or []) if inputs else [],
            shards=by_name,
            counts=IssueCounts.of_nodes(nodes, self._rules.config),
            config=self._rules.config,
            subdir=self._subdir,
            stamp=self._stamp,
        )
        # Only this state writes here: another owner is an earlier name of this state.
        file = PublishedFile(key, body, object_headers.PRIVATE_JSON_HEADERS)
        self._files.add_result(replace_file(self._state, file, self._stamp, info=info, adopt=True))

    def _leaves(self, nodes: Sequence[Node]) -> Iterator[Entries]:
        """Read leaves, so many at once that the reader of some does not wait for all."""
        for some in node_chunks(nodes, NAMES_AT_ONCE):
            yield from self._catalog.entries(some)

    def _is_small(self) -> bool:
        """Whether ``repodata.json`` is rendered ahead, so that hardly anything is left to do."""
        pending = self._files.prefetch.pending(REPODATA_ZST) if self._prerendered else None
        with suppress(SluiceError):  # raised again where the file is needed
            previous = pending() if pending else None
            return previous is not None and previous.info.size <= PRERENDER_BYTES_MAX
        return False

    def _begin_shard_index(self, *, at_once: bool) -> Callable[[], object]:
        """Write ``repodata_shards.msgpack.zst``, small enough to render in full each time.

        ``at_once``: beside what follows, if only an older one is replaced.  Returns a function that
        waits until it is written.
        """
        info = self._files.head(SHARD_INDEX)
        state = self._files.state_of(SHARD_INDEX, info)
        if not state.needs_write:
            return noop
        body = shard_index.render_shard_index(
            self._tree, info=self._info, subdir=self._subdir.name, stamp=self._stamp
        )
        if at_once and state is FileState.OLDER:
            return self._files.start_replacing(SHARD_INDEX, body, info)
        self._files.replace(SHARD_INDEX, body, info, archive_foreign=self._keep_shard_index)
        return noop

    def _keep_shard_index(self) -> None:
        """Archive another tool's shard index: its shards must stay while readers may hold it."""
        with suppress(Archived):  # then no reader can read it either
            if stored := self._files.store.get(self._subdir.file_key(SHARD_INDEX)):
                key = self._subdir.taken_over_key(content_digest(stored.body))
                self._state.put(key, stored.body, object_headers.PRIVATE_ZSTD_HEADERS)

    def _prerender(self, pending: Pending[PreviousFile | None]) -> CompressedVariants | None:
        previous = pending()
        if (
            previous is None
            or previous.info.size > PRERENDER_BYTES_MAX
            or self._files.state_of(REPODATA_ZST, previous.info) is not FileState.OLDER
            or not self._source.is_prefetched(previous)
        ):
            return None
        contents = self._source.splice(
            repodata.decode_repodata, previous, count=self._tree.visible_records
        )
        if contents is None:
            return None
        return self._variants_of(contents)

    def _render_repodata(self, previous: PreviousFile | None) -> CompressedVariants:
        prerendered, self._prerendered = self._prerendered, None
        precompressed, self._precompressed = self._precompressed, None
        variants = prerendered() if prerendered else None
        if variants is None:
            return self._variants_of(self._repodata_contents(previous))
        if precompressed:
            variants.add_pending(REPODATA_ZST, precompressed)
        return variants

    def _variants_of(self, contents: repodata.RepodataContents) -> CompressedVariants:
        if self._rules.config.current_repodata:
            self._contents = contents
        return CompressedVariants(self._render_contents(contents))

    def _render_current(self, _previous: PreviousFile | None) -> bytes:
        contents, self._contents = self._contents or self._repodata_contents(None), None
        return self._render_contents(select_current(contents))

    def _repodata_contents(self, previous: PreviousFile | None) -> repodata.RepodataContents:
        return self._source.contents(
            repodata.RepodataContents,
            repodata.decode_repodata,
            previous,
            count=self._tree.visible_records,
        )

    def _render_contents(self, contents: repodata.RepodataContents) -> bytes:
        return repodata.render_repodata(
            contents, info=self._info, subdir=self._subdir.name, stamp=self._stamp
        )

    def _publish_from_packages(self) -> None:
        """Write the index without the patch, and the patch's instructions."""
        rendered = self._files.replace_pair(
            FROM_PACKAGES, FROM_PACKAGES_ZST, self._render_from_packages
        )
        if not rendered:
            self._publish_instructions()

    def _render_from_packages(self, previous: PreviousFile | None) -> bytes:
        # The instructions are written first, and need no check while the patch is the same.
        patch = self._tree.inputs.patch if self._tree.inputs else None
        previous_tree = self._source.tree_of(previous)
        if previous_tree is None or not previous_tree.inputs or previous_tree.inputs.patch != patch:
            self._publish_instructions()
        contents = self._source.unpatched.contents(
            repodata.RepodataContents, repodata.decode_repodata, previous
        )
        # This includes records that a patch removes.
        info = channel_info(self._tree, self._rules.config, contents.v3_summary)
        return repodata.render_repodata(
            contents, info=info, subdir=self._subdir.name, stamp=self._stamp
        )

    def _publish_instructions(self) -> None:
        info = self._files.head(PATCH_INSTRUCTIONS)
        if self._files.state_of(PATCH_INSTRUCTIONS, info).needs_write:
            body = patch_instructions.render_patch_instructions(
                self._rules.instructions, stamp=self._files.stamp_of(PATCH_INSTRUCTIONS)
            )
            self._files.replace(PATCH_INSTRUCTIONS, body, info)

    def _render_run_exports(self, previous: PreviousFile | None) -> bytes:
        contents = self._source.contents(
            run_exports.RunExportsContents, run_exports.decode_run_exports, previous
        )
        return run_exports.render_run_exports(contents, subdir=self._subdir.name, stamp=self._stamp)


def _compress_rendered(rendered: Pending[CompressedVariants | None]) -> bytes:
    """Wait for what is rendered, and compress it; empty if nothing is."""
    variants = rendered()
    return compress_for_name(REPODATA_ZST, variants.body) if variants else b""
