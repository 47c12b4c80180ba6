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
from sluice.concurrency import Gather
from sluice.conda.names import NOARCH
from sluice.extract import staging
from sluice.extract.staging import Reconsidered
from sluice.layout import SLUICE_TOML, Subdir, behind, parse_state_key, state_folder
from sluice.messages import merge_request
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue


@dataclass(frozen=True, slots=True)
class Announcer:
    """What telling the subdirs of a channel needs of the world."""

    state: ObjectStore
    queue: FifoQueue
    """MergeQueue."""
    gather: Gather
    clock: Callable[[], int]
    """Now, ms since the epoch."""
    unique: Callable[[], str]
    """A string that nobody else has."""
    debounce_seconds: int

    def tell_all(self, channel: str, *, but: Subdir | None = None) -> list[Subdir]:
        """Have all subdirs of a channel reconsider, except ``but``; returns which."""
        subdirs = sorted(subdir for subdir in self._subdirs(channel) if subdir != but)
        self.gather(self.tell, subdirs)
        return subdirs

    def tell(self, subdir: Subdir) -> None:
        """Have one subdir reconsider."""
        record = Reconsidered(filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=self.clock())
        staging.write(self.state, subdir, record, unique=self.unique())
        # The clock is read after the PUT returned, see debounce.
        merge_request.windowed(
            subdir, now_ms=self.clock(), debounce_seconds=self.debounce_seconds
        ).send_to(self.queue)

    def _subdirs(self, channel: str) -> set[Subdir]:
        # Staging first: a merge deletes its records only once there is a head.
        found = set(self._staging(channel))
        heads = self.state.list(state_folder("heads", channel))
        found |= {subdir for info in heads if (subdir := parse_state_key(info.key))}
        if found:
            # It may have been asked for, and have neither yet.
            found.add(Subdir(channel, NOARCH))
        return found

    def _staging(self, channel: str) -> Iterator[Subdir]:
        folder = state_folder("staging", channel)
        after: str | None = None
        while True:
            listed = self.state.list(folder, after=after)
            subdir = next(filter(None, (parse_state_key(info.key) for info in listed)), None)
            if subdir is None:
                return
            yield subdir
            after = behind(subdir.staging)
