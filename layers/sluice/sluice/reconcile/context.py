"""Dependencies of reconcile, and what a run is requested to do."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.limits import BRAKE_DAYS
from sluice.runtime import Runtime
from sluice.storage.queue import FifoQueue, UploadQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileContext(Runtime):
    """Dependencies of reconcile."""

    bucket: str
    """Name of the channel bucket."""
    uploads: UploadQueue
    continuations: FifoQueue
    """ReconcileQueue."""
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
        """Has a subdir look at its configuration again."""
        return ConfigBroadcast(self)


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
