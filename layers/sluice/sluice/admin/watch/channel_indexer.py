"""Indexes one channel: lists it, or reads the objects that events have named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.index import IndexOptions, index, index_objects
from sluice.admin.standalone.package_pool import Examiner, ThreadReaders
from sluice.admin.standalone.report import IndexReport
from sluice.admin.watch.fingerprint import channel_fingerprint
from sluice.admin.watch.schedule import ReadObjects
from sluice.limits import WATCH_FULL_LISTING_SECONDS, WATCH_WAITING_LISTING_SECONDS

_Settled = tuple[bytes, float]
"""A fingerprint after which nothing was to be done, and until when that holds."""


@dataclass(slots=True)
class ChannelIndexer:
    """Indexes one channel, again and again.  Not thread-safe."""

    channel: Channel
    options: IndexOptions
    monotonic: Callable[[], float]
    """Seconds of one clock."""
    _settled: _Settled | None = field(default=None, init=False)

    def list_channel(self) -> IndexReport | None:
        """Compare the channel with its catalog; ``None`` if nothing has changed since.

        Raises the errors of ``index``.
        """
        now = self.monotonic()
        fingerprint = channel_fingerprint(self.channel)
        if self._settled and self._settled[0] == fingerprint and now < self._settled[1]:
            return None
        self._settled = None
        report = index(self.channel, self.options, readers=self._readers())
        if not report.failures and not _has_changed(report):
            lasts = WATCH_WAITING_LISTING_SECONDS if report.waiting else WATCH_FULL_LISTING_SECONDS
            self._settled = fingerprint, now + lasts
        return report

    def read_objects(self, work: ReadObjects) -> IndexReport:
        """Read objects and merge their subdirs; raises the errors of ``index_objects``."""
        return index_objects(
            self.channel,
            work.packages,
            self.options,
            config_changed=work.config_changed,
            readers=self._readers(),
        )

    def _readers(self) -> ThreadReaders:
        # Threads, because a process that is killed with its work leaves no others behind.
        trust = self.options.trust_uploader_digests
        return ThreadReaders(Examiner(self.channel.public, trust, self.channel.clock))


def _has_changed(report: IndexReport) -> bool:
    """Whether a run wrote anything that its fingerprint does not know."""
    return bool(
        report.read
        or report.channel_files_written
        or any(one.generation or one.files_written or one.collected for one in report.subdirs)
    )
