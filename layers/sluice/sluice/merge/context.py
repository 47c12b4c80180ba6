"""Dependencies of a merge."""

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
    """Of this execution environment."""
    defaults: ChannelConfig = DEFAULT_CONFIG
    """Of what a channel's configuration does not say."""
    endpoint: str | None = None
    """Where the bucket is, for people."""
    brake_days: int = BRAKE_DAYS
    """0: records of an index before sluice are dropped where their files are gone, however many."""
    batch_records: int | None = None
    """Staging records per commit, at most; ``None``: as many as a function takes."""

    @property
    def bucket_check(self) -> BucketCheck:
        """Tells whether the catalog of a channel describes this bucket."""
        return BucketCheck(self, self.bucket, self.publisher.owner, endpoint=self.endpoint)

    @property
    def config_broadcast(self) -> ConfigBroadcast:
        """Notifies the other subdirs of a channel."""
        return ConfigBroadcast(self)

    @property
    def channel_merge(self) -> ChannelMergeContext:
        """For merging a channel as a whole."""
        return ChannelMergeContext(
            self,
            bucket_check=self.bucket_check,
            owner=self.publisher.owner,
            max_age_seconds=self.publisher.max_age_seconds,
        )

    def follow_ups(self, subdir: Subdir) -> FollowUps:
        """Requests what a merge of a subdir has to be followed by."""
        return FollowUps(self, subdir)

    @property
    def note_writer(self) -> ChannelNoteWriter:
        """Leaves notes for the merge of the channel as a whole."""
        return ChannelNoteWriter(self)
