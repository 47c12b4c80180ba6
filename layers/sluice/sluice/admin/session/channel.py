"""An open channel, with all that is needed to read or to change it."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.admin.session.server_capabilities import ProbedBuckets
from sluice.admin.session.stack import Stack
from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.concurrency import Executor
from sluice.conda.timestamps import Clock
from sluice.layout import Subdir
from sluice.messages.merge_request import DEBOUNCE_SECONDS_MIN
from sluice.publish.bucket_check import BucketCheck
from sluice.runtime import NewId, Runtime
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue, NoQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One open channel in one bucket."""

    bucket: str
    """Name of the channel bucket."""
    name: str
    """Key prefix without slashes at its ends; empty for the channel at the bucket's root."""
    public: ObjectStore
    """The channel bucket."""
    state: ObjectStore
    """The state bucket."""
    executor: Executor
    clock: Clock
    new_id: NewId
    owner: str | None = None
    """The publisher of the channel: the state bucket's name; ``None`` if it is not known."""
    merges: FifoQueue | None = None
    """MergeQueue; ``None`` for a channel without a stack."""
    debounce_seconds: int = 0
    """The stack's setting."""
    defaults: ChannelConfig = DEFAULT_CONFIG
    """Defaults for what the channel's configuration does not set."""
    stack: Stack | None = None
    """The stack that indexes the channel, if known."""
    endpoint: str | None = None
    """URL of an S3 that is not AWS's, or the region."""
    probed: ProbedBuckets | None = None
    """The detection of how the server implements conditional writes; ``None``: as AWS does."""

    @property
    def bucket_check(self) -> BucketCheck:
        """Checks whether the catalog of a channel describes this bucket."""
        return BucketCheck(self.runtime, self.bucket, self.owner or "", endpoint=self.endpoint)

    @property
    def runtime(self) -> Runtime:
        """The dependencies of commits.

        Without a stack, merge requests are dropped: the next merge finds the staging records.
        """
        return Runtime(
            channel=self.public,
            state=self.state,
            merge_queue=self.merges or NoQueue(),
            executor=self.executor,
            clock=self.clock,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds or DEBOUNCE_SECONDS_MIN,
        )

    def subdir(self, name: str) -> Subdir:
        """One of its subdirs, whether it exists or not."""
        return Subdir(self.name, name)

    @property
    def shares_bucket(self) -> bool:
        """Whether its state is in its own bucket, so that readers of the bucket can read both."""
        return (self.owner or "").partition("/")[0] == self.bucket
