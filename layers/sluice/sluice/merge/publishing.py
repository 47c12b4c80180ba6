"""Publishing in one merge: files are looked at before the commit and rendered beside it."""

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
        """First looks at the published files."""
        self._publication: Publication | None = None
        """Of the last generation that was to be committed, if it was begun with."""

    def prefetch(self, parent: Tree) -> None:
        """Begin with the first looks at the files that are published of ``parent``."""
        if self._prefetch is None:
            config = self._catalog.rules(parent).config
            self._prefetch = self._ctx.publisher.prefetch(
                self._request.subdir, parent, config, self._ctx.executor
            )

    def prerender(self, digest: str) -> None:
        """Begin to render a tree whose head is still to be swapped, if its files are prefetched."""
        if self._prefetch is not None:
            self._publication = self._begin(digest)
            self._publication.prerender()

    def publish(self, digest: str, *, tidy: bool) -> PublishResult:
        """Bring the published files up to a tree; see ``Publication.publish``."""
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
