"""The publisher of subdirs: its name, and whose files it may replace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sluice.catalog.head import Head, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.channel_config import ChannelConfig
from sluice.concurrency import Executor, in_order
from sluice.layout import (
    CURRENT_REPODATA_ZST,
    FROM_PACKAGES_ZST,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
    Subdir,
)
from sluice.publish.fence import Stamp
from sluice.publish.index_files import IndexFiles
from sluice.publish.outputs import ALL_OUTPUTS, wanted_outputs
from sluice.publish.prefetch import Prefetch
from sluice.publish.publication import (
    NOTHING_PUBLISHED,
    REPODATA_VARIANTS,
    Publication,
    PublishResult,
)
from sluice.storage.object_store import ObjectStore

_COMPRESSED_OF_PAIRS = (CURRENT_REPODATA_ZST, FROM_PACKAGES_ZST, RUN_EXPORTS_ZST)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes subdirs to one channel bucket, and their rejects to the state bucket."""

    channel: ObjectStore
    state: ObjectStore
    owner: str
    max_age_seconds: int
    """How long clients may cache an index file."""
    adopt: bool = False
    """Whether to take over the files of another stack instead of stopping."""

    def has_foreign_owner(self, subdir: Subdir) -> bool:
        """Whether any index file there belongs to another stack; raises ``Unavailable``."""
        infos = (self.channel.head(subdir.file_key(file)) for file in ALL_OUTPUTS)
        stamps = (Stamp.parse(info.metadata) for info in infos if info)
        return any(stamp and stamp.owner != self.owner for stamp in stamps)

    def is_newest(self, subdir: Subdir, digest: str) -> bool:
        """Whether nothing was committed after that tree; raises ``Unavailable``."""
        return read_head(self.state, subdir).value.tree == digest

    def prefetch(
        self, subdir: Subdir, tree: Tree, config: ChannelConfig, executor: Executor
    ) -> Prefetch:
        """Start to read what publishing needs, if the current files are those of ``tree``."""
        prefetch = Prefetch(self.channel, subdir)
        wanted = wanted_outputs(tree, config)
        variants = [file for file in wanted if file in REPODATA_VARIANTS]
        zsts = [file for file in wanted if file in _COMPRESSED_OF_PAIRS]
        heads = [file for file in wanted if file in (SHARD_INDEX, *variants[1:])]
        prefetch.start(executor, heads=heads, bodies=[*variants[:1], *zsts])
        return prefetch

    def prepare(
        self,
        subdir: Subdir,
        digest: str,
        catalog: CatalogReader,
        *,
        prefetch: Prefetch | None = None,
        executor: Executor = in_order,
    ) -> Publication:
        """Prepare to publish the tree with that digest; writes nothing yet.

        ``prefetch``: reads that were already started.  Raises ``Unavailable``, and ``Corrupt`` if
        the catalog cannot be read.
        """
        tree = catalog.tree(digest)
        files = IndexFiles(
            self.channel,
            subdir,
            tree,
            Stamp(tree.generation, digest, self.owner),
            self.max_age_seconds,
            self.adopt,
            is_newest=partial(self.is_newest, subdir, digest),
            prefetch=prefetch or Prefetch(self.channel, subdir),
            executor=executor,
        )
        return Publication(files, self.state, catalog)

    def publish(
        self,
        subdir: Subdir,
        head: Head,
        catalog: CatalogReader,
        *,
        tidy: bool = False,
        revives: bool = True,
        executor: Executor = in_order,
    ) -> PublishResult:
        """Update all files that are older than ``head``, see ``Publication.publish``."""
        if head.tree is None:
            return NOTHING_PUBLISHED
        publication = self.prepare(subdir, head.tree, catalog, executor=executor)
        return publication.publish(tidy=tidy, revives=revives)
