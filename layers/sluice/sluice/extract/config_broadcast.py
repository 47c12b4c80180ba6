"""Notifies the subdirs of a channel to read the configuration and patches again.

Ordinary merges read neither: the active ones are in the tree.  So each subdir gets a staging
record, as for an uploaded package.  That way a change reaches every subdir and survives any
failure.  A subdir that is being created meanwhile is not missed.  Its merge lists staging before it
reads the configuration, so if it read an old one, its staging records or its head already existed.
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
        """Notify all subdirs of a channel, except ``exclude``; returns those notified."""
        subdirs = sorted(subdir for subdir in self._find_subdirs(channel) if subdir != exclude)
        self.runtime.executor.map(self.notify, subdirs)
        return subdirs

    def notify(self, subdir: Subdir) -> None:
        """Notify one subdir."""
        record = ConfigChanged(
            filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=self.runtime.clock()
        )
        staging.write_staging_record(
            self.runtime.state, subdir, record, unique_id=self.runtime.new_id()
        )
        # The clock is read after the PUT returned, see ``merge_request``.
        merge_request.merge_message(
            subdir, now_ms=self.runtime.clock(), debounce_seconds=self.runtime.debounce_seconds
        ).send_to(self.runtime.merge_queue)

    def _find_subdirs(self, channel: str) -> set[Subdir]:
        # Staging first: a merge deletes its records only after it has written a head.
        subdirs = set(self._staged_subdirs(channel))
        heads = self.runtime.state.list(state_prefix("heads", channel))
        subdirs |= {subdir for info in heads if (subdir := parse_state_key(info.key))}
        if subdirs:
            # A merge may have been requested for it before it has staging records or a head.
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
