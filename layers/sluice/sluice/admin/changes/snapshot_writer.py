"""One subdir of a snapshot: index files and shards that are written once and belong to no stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET, structs

from sluice.catalog import node, tree
from sluice.catalog.client_view import Rules, view
from sluice.catalog.codec import digest
from sluice.catalog.entry import Entries
from sluice.catalog.node import Rendered
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import Gather
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
from sluice.publish.channel_info import V3Summary, info_of
from sluice.publish.compressed_variants import as_named
from sluice.publish.current_repodata import current
from sluice.publish.fence import Stamp
from sluice.publish.outputs import outputs
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore

MAX_AGE_SECONDS = 3600
"""How long clients may keep an index file of what never changes."""
_RELATIONS = "channel_relations"


class FrozenSubdir:
    """Takes the entries of some names after the other, then publishes them.

    Bytes depend on what is taken and said alone, so whoever was interrupted may begin again.
    """

    def __init__(
        self,
        store: ObjectStore,
        subdir: Subdir,
        of: Tree,
        rules: Rules,
        owner: str,
        gather: Gather,
    ) -> None:
        """``of``: the tree that it is a snapshot of; ``owner``: whom its files name."""
        self.rules = rules
        self._store = store
        self._subdir = subdir
        self._of = of
        self._owner = owner
        self._gather = gather
        self._nodes: dict[str, Node] = {}
        self._contents = repodata.Contents()
        self._run_exports = run_exports.Contents()

    @property
    def packages(self) -> int:
        """How many clients see."""
        return self._contents.count

    def add(self, names: Mapping[str, Entries]) -> None:
        """Write the shards of some names, and take up what they say."""
        rendered = {
            name: node.render(name, entries, at=self._of.at, rules=self.rules)
            for name, entries in names.items()
            if entries
        }
        self._gather(self._write_shard, rendered.values())
        for name, one in rendered.items():
            shown = view(names[name], self.rules)
            self._nodes[name] = one.node
            self._contents.add(shown)
            self._run_exports.add(shown)

    def publish(self, *, base_url: str, relations: Mapping[str, str]) -> None:
        """Write the index files that the subdir had.

        But for those that tell the patch from the packages: here it is part of them.
        ``base_url``: the folder of the packages.  ``relations``: see ``ChannelConfig.relations``.
        """
        now = structs.replace(self._of, names=self._nodes, public=True)
        stamp = Stamp(now.generation, digest(tree.encode(now)), self._owner)
        info = self._info(now, base_url, relations)
        for file in outputs(structs.replace(now, inputs=UNSET), self.rules.config):
            self._put(file, self._body(file, now, info, stamp), stamp)

    def _info(self, now: Tree, base_url: str, relations: Mapping[str, str]) -> dict[str, Any]:
        config = structs.replace(self.rules.config, base_url=base_url)
        info = info_of(now, config, V3Summary.of_tree(now))
        return {**info, _RELATIONS: dict(relations)} if relations else info

    def _body(self, file: str, now: Tree, info: dict[str, Any], stamp: Stamp) -> bytes:
        name = self._subdir.name
        if file == SHARD_INDEX:
            return shard_index.render(now, info=info, subdir=name, stamp=stamp)
        if file in (RUN_EXPORTS, RUN_EXPORTS_ZST):
            return as_named(file, run_exports.render(self._run_exports, subdir=name, stamp=stamp))
        newest = file in (CURRENT_REPODATA, CURRENT_REPODATA_ZST)
        contents = current(self._contents) if newest else self._contents
        return as_named(file, repodata.render(contents, info=info, subdir=name, stamp=stamp))

    def _write_shard(self, one: Rendered) -> None:
        if one.node.shard and one.shard_body:
            self._store.put(
                self._subdir.shard(one.node.shard.hex()), one.shard_body, object_headers.SHARD
            )

    def _put(self, file: str, body: bytes, stamp: Stamp) -> None:
        """Write a file over nothing, or over itself."""
        key = self._subdir.public(file)
        found = self._store.head(key)
        about = replace(object_headers.of_index(file, MAX_AGE_SECONDS), metadata=stamp.metadata)
        if found is None or Stamp.parse(found.metadata) == stamp:
            expected = found.etag if found else None
            self._store.put_if(key, body, about, expected=expected)
            found = self._store.head(key)
        if found is None or Stamp.parse(found.metadata) != stamp:
            raise Unavailable(f"{key} is written by somebody else meanwhile")
