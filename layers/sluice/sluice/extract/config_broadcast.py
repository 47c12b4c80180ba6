"""Having every subdir of a channel look at configuration and patches again.

Ordinary merges read neither: what is in force stands in the tree.  So that a change reaches every
subdir, and outlives whatever fails, each gets a staging record, as an uploaded package does.  A
subdir that is being made meanwhile is not missed: its merge lists staging before it reads the
configuration, so where it has read an old one, its staging or its head was there to be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sluice.catalog.entry import NOT_EXTRACTED
from sluice.conda.names import NOARCH
from sluice.extract import staging
from sluice.extract.staging import ConfigChanged
from sluice.layout import SLUICE_TOML, Subdir, key_after_prefix, parse_state_key, state_prefix
from sluice.messages import merge_request
from sluice.runtime import Runtime


@dataclass(frozen=True, slots=True)
class ConfigBroadcast:
    """Notifies the subdirs of a channel that their configuration or patch may have changed."""

    runtime: Runtime

    def notify_all(self, channel: str, *, exclude: Subdir | None = None) -> list[Subdir]:
        """Have all subdirs of a channel reconsider, except ``exclude``; returns which."""
        subdirs = sorted(subdir for subdir in self._find_subdirs(channel) if subdir != exclude)
        self.runtime.executor.map(self.notify, subdirs)
        return subdirs

    def notify(self, subdir: Subdir) -> None:
        """Have one subdir reconsider."""
        record = ConfigChanged(
            filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=self.runtime.clock()
        )
        staging.write_staging_record(
            self.runtime.state, subdir, record, unique_id=self.runtime.new_id()
        )
        # The clock is read after the PUT returned, see debounce.
        merge_request.merge_message(
            subdir, now_ms=self.runtime.clock(), debounce_seconds=self.runtime.debounce_seconds
        ).send_to(self.runtime.merge_queue)

    def _find_subdirs(self, channel: str) -> set[Subdir]:
        # Staging first: a merge deletes its records only once there is a head.
        subdirs = set(self._staged_subdirs(channel))
        heads = self.runtime.state.list(state_prefix("heads", channel))
        subdirs |= {subdir for info in heads if (subdir := parse_state_key(info.key))}
        if subdirs:
            # It may have been asked for, and have neither yet.
            subdirs.add(Subdir(channel, NOARCH))
        return subdirs

    def _staged_subdirs(self, channel: str) -> Iterator[Subdir]:
        folder = state_prefix("staging", channel)
        after: str | None = None
        while True:
            listed = self.runtime.state.list(folder, after=after)
            subdir = next(filter(None, (parse_state_key(info.key) for info in listed)), None)
            if subdir is None:
                return
            yield subdir
            after = key_after_prefix(subdir.staging_prefix)
