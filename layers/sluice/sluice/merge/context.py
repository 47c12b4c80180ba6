"""The dependencies of a merge."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.channel_files.merge import ChannelMergeContext
from sluice.channel_files.note import ChannelNoteWriter
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.layout import Subdir
from sluice.limits import BRAKE_DAYS
from sluice.merge.follow_ups import FollowUps
from sluice.merge.warm_cache import WarmCache
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.publisher import Publisher
from sluice.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeContext(Runtime):
    """Dependencies of a merge."""

    bucket: str
    """Name of the channel bucket."""
    publisher: Publisher
    warm_cache: WarmCache = field(default_factory=WarmCache)
    """The cache of this execution environment."""
    defaults: ChannelConfig = DEFAULT_CONFIG
    """Defaults for what a channel's configuration does not set."""
    endpoint: str | None = None
    """The URL of the S3 server, for people."""
    brake_days: int = BRAKE_DAYS
    """Days that large removals wait.  0: records of an index from before sluice are dropped if
    their files are gone, however many."""
    batch_records: int | None = None
    """Staging records per commit, at most; ``None``: a function's limit."""

    @property
    def bucket_check(self) -> BucketCheck:
        """Checks whether the catalog of a channel describes this bucket."""
        return BucketCheck(self, self.bucket, self.publisher.owner, endpoint=self.endpoint)

    @property
    def config_broadcast(self) -> ConfigBroadcast:
        """Notifies the other subdirs of a channel."""
        return ConfigBroadcast(self)

    @property
    def channel_merge(self) -> ChannelMergeContext:
        """The dependencies of a merge of a whole channel."""
        return ChannelMergeContext(
            self,
            bucket_check=self.bucket_check,
            owner=self.publisher.owner,
            max_age_seconds=self.publisher.max_age_seconds,
        )

    def follow_ups(self, subdir: Subdir) -> FollowUps:
        """Sends the requests that must follow a merge of a subdir."""
        return FollowUps(self, subdir)

    @property
    def note_writer(self) -> ChannelNoteWriter:
        """Writes notes for the merge of the whole channel."""
        return ChannelNoteWriter(self)
