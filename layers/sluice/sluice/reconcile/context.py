"""The dependencies of reconcile, and the request for a run."""

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
    """The publisher, as in merge's settings."""
    retention_days: int
    defaults: ChannelConfig = DEFAULT_CONFIG
    """Defaults for what a channel's configuration does not set, as in merge's settings."""
    prefixes: tuple[str, ...] = ("",)
    """Key prefixes of the subdirs to check."""
    brake_days: int = BRAKE_DAYS
    """Days that the removal of most of an index waits (``brake``); 0: no wait."""
    checks_digests: bool = False
    """Whether to hash a sample of the packages whose digests are what their uploaders say."""
    leaves_young_staging: bool = False
    """Whether what was staged within 15 minutes is left to the merge that its writer requested.
    For functions: a person who indexes does not wait for that merge."""

    @property
    def config_broadcast(self) -> ConfigBroadcast:
        """Notifies a subdir to read its configuration again."""
        return ConfigBroadcast(self)


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """A request for a run."""

    channel: str | None = None
    """``None``: all channels; ``""``: the one at the bucket's root."""
    subdir: str | None = None
    """A subdir of that channel; ``None``: all."""
    dry_run: bool = False
    """Report the actions of a run without carrying them out."""
    re_extract: bool = False
    """Judge every reject again, too."""
    adopt: bool = False
    """Take over the files of another stack."""
    confirm: str | None = None
    """The digest of waiting removals that are to be carried out now."""
