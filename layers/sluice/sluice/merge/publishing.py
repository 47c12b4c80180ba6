"""Publishing in a merge: files are read before the commit and rendered alongside it."""

from __future__ import annotations

from dataclasses import replace

from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.merge.context import MergeContext
from sluice.messages.merge_request import MergeRequest
from sluice.publish.prefetch import Prefetch
from sluice.publish.publication import Publication, PublishResult


class Publishing:
    """Publishes the last generation of one merge."""

    def __init__(self, ctx: MergeContext, request: MergeRequest, catalog: CatalogReader) -> None:
        self._ctx = ctx
        self._request = request
        self._catalog = catalog
        self._prefetch: Prefetch | None = None
        """First HEADs of the published files."""
        self._publication: Publication | None = None
        """The publication of the last generation to be committed, if it has begun."""

    def prefetch(self, parent: Tree) -> None:
        """Start the first HEADs of the published files of ``parent``."""
        if self._prefetch is None:
            config = self._catalog.rules(parent).config
            self._prefetch = self._ctx.publisher.prefetch(
                self._request.subdir, parent, config, self._ctx.executor
            )

    def prerender(self, digest: str) -> None:
        """Start to render a tree before its head is swapped, if its files are prefetched."""
        if self._prefetch is not None:
            self._publication = self._begin(digest)
            self._publication.prerender()

    def publish(self, digest: str, *, tidy: bool) -> PublishResult:
        """Update the published files to a tree; see ``Publication.publish``."""
        if self._publication is None or self._publication.digest != digest:
            self._publication = self._begin(digest)
        return self._publication.publish(tidy=tidy)

    def _begin(self, digest: str) -> Publication:
        publisher = replace(self._ctx.publisher, adopt=self._request.adopt)
        return publisher.prepare(
            self._request.subdir,
            digest,
            self._catalog,
            prefetch=self._prefetch,
            executor=self._ctx.executor,
        )
