"""What a merge needs of the world, and what it hands on of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.channel_files.merge import ChannelMergeContext
from sluice.channel_files.note import ChannelNoteWriter
from sluice.concurrency import Executor
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.layout import Subdir
from sluice.limits import BRAKE_DAYS
from sluice.merge.follow_ups import FollowUps
from sluice.merge.warm_cache import WarmCache
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.publisher import Publisher
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue


@dataclass(frozen=True, slots=True)
class MergeContext:
    """What a merge needs of the world."""

    channel: ObjectStore
    state: ObjectStore
    bucket: str
    """Name of the channel bucket."""
    publisher: Publisher
    queue: FifoQueue
    """MergeQueue."""
    executor: Executor
    clock: Callable[[], int]
    """Now, ms since the epoch."""
    new_id: Callable[[], str]
    """A string that nobody else has."""
    debounce_seconds: int
    warm_cache: WarmCache = field(default_factory=WarmCache)
    """By this execution environment."""
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
        return BucketCheck(
            self.channel,
            self.state,
            self.bucket,
            self.publisher.owner,
            self.clock,
            self.new_id,
            endpoint=self.endpoint,
        )

    @property
    def config_broadcast(self) -> ConfigBroadcast:
        """For telling the other subdirs of a channel."""
        return ConfigBroadcast(
            self.state, self.queue, self.executor, self.clock, self.new_id, self.debounce_seconds
        )

    @property
    def channel_merge(self) -> ChannelMergeContext:
        """For merging a channel as a whole."""
        return ChannelMergeContext(
            channel=self.channel,
            state=self.state,
            bucket_check=self.bucket_check,
            owner=self.publisher.owner,
            max_age_seconds=self.publisher.max_age_seconds,
            executor=self.executor,
            clock=self.clock,
            new_id=self.new_id,
        )

    def follow_ups(self, subdir: Subdir) -> FollowUps:
        """For what a merge of a subdir asks of others."""
        return FollowUps(
            subdir,
            self.queue,
            self.config_broadcast,
            self.clock,
            self.new_id,
            self.debounce_seconds,
        )

    @property
    def note_writer(self) -> ChannelNoteWriter:
        """For telling the merge of the channel as a whole."""
        return ChannelNoteWriter(
            self.state, self.queue, self.clock, self.new_id, self.debounce_seconds
        )
