"""What reconcile needs of the world, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.concurrency import Executor
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.limits import BRAKE_DAYS
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue, UploadQueue


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What reconcile needs of the world."""

    channel: ObjectStore
    state: ObjectStore
    bucket: str
    """Name of the channel bucket."""
    uploads: UploadQueue
    merges: FifoQueue
    """MergeQueue."""
    continuations: FifoQueue
    """ReconcileQueue."""
    executor: Executor
    clock: Callable[[], int]
    """Now, ms since the epoch."""
    new_id: Callable[[], str]
    """A string that nobody else has."""
    debounce_seconds: int
    owner: str
    """Who publishes, as merge's publisher has it."""
    retention_days: int
    defaults: ChannelConfig = DEFAULT_CONFIG
    """Of what a channel's configuration does not say, as merge has them."""
    prefixes: tuple[str, ...] = ("",)
    """Only subdirs whose folders begin with one of these are looked at."""
    brake_days: int = BRAKE_DAYS
    """For which the removal of most of an index waits (``brake``); 0: for none."""

    @property
    def config_broadcast(self) -> ConfigBroadcast:
        """For having a subdir look at its configuration again."""
        return ConfigBroadcast(
            self.state, self.merges, self.executor, self.clock, self.new_id, self.debounce_seconds
        )


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """What a run is asked for."""

    channel: str | None = None
    """``None``: all channels; ``""``: the one at the bucket's root."""
    subdir: str | None = None
    """Of that channel; ``None``: all."""
    dry_run: bool = False
    """Report what would be done, and do nothing."""
    re_extract: bool = False
    """Look at every reject again, too."""
    adopt: bool = False
    """Take over what another stack publishes."""
    confirm: str | None = None
    """The digest of removals that wait and are to be carried out now."""
