"""Writes one subdir of a snapshot: files that are written once and belong to no stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET, structs

from sluice.catalog import node, tree
from sluice.catalog.client_view import RenderRules, render_view
from sluice.catalog.codec import content_digest
from sluice.catalog.entry import Entries
from sluice.catalog.node import RenderedNode
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import Executor
from sluice.errors import Unavailable
from sluice.layout import (
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
    Subdir,
)
from sluice.publish import repodata, run_exports, shard_index
from sluice.publish.channel_info import V3Summary, channel_info
from sluice.publish.compressed_variants import compress_for_name
from sluice.publish.current_repodata import select_current
from sluice.publish.fence import Stamp
from sluice.publish.outputs import wanted_outputs
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore

MAX_AGE_SECONDS = 3600
"""How long clients may cache an index file of a channel that never changes."""
_RELATIONS = "channel_relations"


class SnapshotSubdirWriter:
    """Takes the entries of one group of names after the other, then publishes them.

    Output is deterministic, so an interrupted snapshot can be started again.
    """

    def __init__(
        self,
        store: ObjectStore,
        subdir: Subdir,
        source: Tree,
        rules: RenderRules,
        owner: str,
        executor: Executor,
    ) -> None:
        """``source``: the tree of the snapshot; ``owner``: the owner in the stamps of its files."""
        self.rules = rules
        self._store = store
        self._subdir = subdir
        self._source = source
        self._owner = owner
        self._executor = executor
        self._nodes: dict[str, Node] = {}
        self._contents = repodata.RepodataContents()
        self._run_exports = run_exports.RunExportsContents()

    @property
    def packages(self) -> int:
        """Number of packages that clients see."""
        return self._contents.count

    def add(self, names: Mapping[str, Entries]) -> None:
        """Write the shards of some names, and add their records."""
        rendered = {
            name: node.render_node(name, entries, at=self._source.at, rules=self.rules)
            for name, entries in names.items()
            if entries
        }
        self._executor.map(self._write_shard, rendered.values())
        for name, item in rendered.items():
            visible = render_view(names[name], self.rules)
            self._nodes[name] = item.node
            self._contents.add(visible)
            self._run_exports.add(visible)

    def publish(self, *, base_url: str, relations: Mapping[str, str]) -> None:
        """Write the index files that the subdir had.

        Files that separate the patch from the packages are left out: here the patch is part of the
        records.  ``base_url``: the folder of the packages.  ``relations``: see
        ``ChannelConfig.relations``.
        """
        snapshot_tree = structs.replace(self._source, names=self._nodes, public=True)
        stamp = Stamp(
            snapshot_tree.generation, content_digest(tree.encode_tree(snapshot_tree)), self._owner
        )
        info = self._info(snapshot_tree, base_url, relations)
        for file in wanted_outputs(structs.replace(snapshot_tree, inputs=UNSET), self.rules.config):
            self._put(file, self._body(file, snapshot_tree, info, stamp), stamp)

    def _info(
        self, snapshot_tree: Tree, base_url: str, relations: Mapping[str, str]
    ) -> dict[str, Any]:
        config = structs.replace(self.rules.config, base_url=base_url)
        info = channel_info(snapshot_tree, config, V3Summary.from_tree(snapshot_tree))
        return {**info, _RELATIONS: dict(relations)} if relations else info

    def _body(self, file: str, snapshot_tree: Tree, info: dict[str, Any], stamp: Stamp) -> bytes:
        name = self._subdir.name
        if file == SHARD_INDEX:
            return shard_index.render_shard_index(
                snapshot_tree, info=info, subdir=name, stamp=stamp
            )
        if file in (RUN_EXPORTS, RUN_EXPORTS_ZST):
            return compress_for_name(
                file, run_exports.render_run_exports(self._run_exports, subdir=name, stamp=stamp)
            )
        newest = file in (CURRENT_REPODATA, CURRENT_REPODATA_ZST)
        contents = select_current(self._contents) if newest else self._contents
        return compress_for_name(
            file, repodata.render_repodata(contents, info=info, subdir=name, stamp=stamp)
        )

    def _write_shard(self, rendered: RenderedNode) -> None:
        if rendered.node.shard and rendered.shard_body:
            self._store.put(
                self._subdir.shard_key(rendered.node.shard.hex()),
                rendered.shard_body,
                object_headers.SHARD_HEADERS,
            )

    def _put(self, file: str, body: bytes, stamp: Stamp) -> None:
        """Write a file over no object, or over the same file."""
        key = self._subdir.file_key(file)
        existing = self._store.head(key)
        headers = replace(
            object_headers.index_file_headers(file, MAX_AGE_SECONDS), metadata=stamp.metadata
        )
        if existing is None or Stamp.parse(existing.metadata) == stamp:
            expected = existing.etag if existing else None
            self._store.put_if(key, body, headers, expected=expected)
            existing = self._store.head(key)
        if existing is None or Stamp.parse(existing.metadata) != stamp:
            raise Unavailable(f"another process is writing {key}. Try again")
