"""Publishing in a merge: files are read before the commit and rendered alongside it."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.merge.context import MergeContext
from sluice.messages.merge_request import MergeRequest
from sluice.publish.prefetch import Prefetch
from sluice.publish.publication import Publication, PublishResult


class Scope(Enum):
    """What a merge publishes."""

    ALL = "all"
    """All files.  What was staged is then deleted."""
    SHARDS = "shards"
    """The shard index, and nothing else.

    All that is staged stays, so the next merge of the subdir publishes the rest, and does all else
    that follows from a merge.
    """
    NOTHING = "nothing"
    """Nothing.  What was staged is deleted, so the caller makes sure of another merge."""


class Publishing:
    """Publishes the last generation of one merge."""

    def __init__(
        self, ctx: MergeContext, request: MergeRequest, catalog: CatalogReader, scope: Scope
    ) -> None:
        """``scope``: ``ALL`` or ``SHARDS``."""
        self._ctx = ctx
        self._request = request
        self._catalog = catalog
        self._scope = scope
        self._prefetch: Prefetch | None = None
        """First HEADs of the published files."""
        self._publication: Publication | None = None
        """The publication of the last generation to be committed, if it has begun."""

    def prefetch(self, parent: Tree) -> None:
        """Start the first HEADs of the published files of ``parent``."""
        if self._prefetch is None and self._scope is Scope.ALL:
            config = self._catalog.rules(parent).config
            self._prefetch = self._ctx.publisher.prefetch(
                self._request.subdir, parent, config, self._ctx.executor
            )

    def prerender(self, digest: str) -> None:
        """Start to render a tree before its head is swapped, if its files are prefetched."""
        if self._prefetch is not None:
            self._publication = self._begin(digest)
            self._publication.prerender()

    def is_missing(self, digest: str) -> bool:
        """Whether none of the index files exists that a tree has; raises ``Unavailable``."""
        return self._publication_of(digest).is_missing()

    def publish(self, digest: str, *, tidy: bool, revives: bool) -> PublishResult:
        """Update the published files to a tree; see ``Publication.publish``."""
        return self._publication_of(digest).publish(tidy=tidy, revives=revives)

    def publish_shard_index(self, digest: str) -> PublishResult:
        """Update the shard index alone; see ``Publication.publish_shard_index``."""
        return self._publication_of(digest).publish_shard_index()

    def _publication_of(self, digest: str) -> Publication:
        if self._publication is None or self._publication.digest != digest:
            self._publication = self._begin(digest)
        return self._publication

    def _begin(self, digest: str) -> Publication:
        publisher = replace(self._ctx.publisher, adopt=self._request.adopt)
        return publisher.prepare(
            self._request.subdir,
            digest,
            self._catalog,
            prefetch=self._prefetch,
            executor=self._ctx.executor,
        )
