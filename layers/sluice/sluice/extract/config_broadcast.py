"""Having every subdir of a channel look at configuration and patches again.

Ordinary merges read neither: what is in force stands in the tree.  So that a change reaches every
subdir, and outlives whatever fails, each gets a staging record, as an uploaded package does.  A
subdir that is being made meanwhile is not missed: its merge lists staging before it reads the
configuration, so where it has read an old one, its staging or its head was there to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sluice.catalog.entry import NOT_EXTRACTED
from sluice.concurrency import Executor
from sluice.conda.names import NOARCH
from sluice.extract import staging
from sluice.extract.staging import ConfigChanged
from sluice.layout import SLUICE_TOML, Subdir, key_after_prefix, parse_state_key, state_prefix
from sluice.messages import merge_request
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue


@dataclass(frozen=True, slots=True)
class ConfigBroadcast:
    """What telling the subdirs of a channel needs of the world."""

    state: ObjectStore
    queue: FifoQueue
    """MergeQueue."""
    executor: Executor
    clock: Callable[[], int]
    """Now, ms since the epoch."""
    new_id: Callable[[], str]
    """A string that nobody else has."""
    debounce_seconds: int

    def notify_all(self, channel: str, *, exclude: Subdir | None = None) -> list[Subdir]:
        """Have all subdirs of a channel reconsider, except ``exclude``; returns which."""
        subdirs = sorted(subdir for subdir in self._find_subdirs(channel) if subdir != exclude)
        self.executor.map(self.notify, subdirs)
        return subdirs

    def notify(self, subdir: Subdir) -> None:
        """Have one subdir reconsider."""
        record = ConfigChanged(filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=self.clock())
        staging.write_staging_record(self.state, subdir, record, unique_id=self.new_id())
        # The clock is read after the PUT returned, see debounce.
        merge_request.merge_message(
            subdir, now_ms=self.clock(), debounce_seconds=self.debounce_seconds
        ).send_to(self.queue)

    def _find_subdirs(self, channel: str) -> set[Subdir]:
        # Staging first: a merge deletes its records only once there is a head.
        subdirs = set(self._staged_subdirs(channel))
        heads = self.state.list(state_prefix("heads", channel))
        subdirs |= {subdir for info in heads if (subdir := parse_state_key(info.key))}
        if subdirs:
            # It may have been asked for, and have neither yet.
            subdirs.add(Subdir(channel, NOARCH))
        return subdirs

    def _staged_subdirs(self, channel: str) -> Iterator[Subdir]:
        folder = state_prefix("staging", channel)
        after: str | None = None
        while True:
            listed = self.state.list(folder, after=after)
            subdir = next(filter(None, (parse_state_key(info.key) for info in listed)), None)
            if subdir is None:
                return
            yield subdir
            after = key_after_prefix(subdir.staging_prefix)
