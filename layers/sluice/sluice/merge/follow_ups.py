"""What one merge asks of others."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.channel_config import ChannelConfig
from sluice.channel_files.note import needs_channel_note
from sluice.conda.names import NOARCH
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.layout import Subdir
from sluice.messages import merge_request
from sluice.runtime import Runtime


@dataclass(frozen=True, slots=True)
class FollowUps:
    """Asks for further merges, of a subdir and of what belongs to it."""

    runtime: Runtime
    subdir: Subdir

    def request_after_first_publish(self, config: ChannelConfig, *, with_names: bool) -> None:
        """Request what follows from a first publish; ``with_names``: of an index that was there.

        Before the head is swapped: a merge that dies right after it would not ask again.
        """
        if self.subdir.name != NOARCH:
            self._request_noarch()
        all_are_new = with_names and needs_channel_note(config, config_changed=False)
        if all_are_new or config.notices is not None:
            # Only this merge knows that all of these names are new, and only one that looks at
            # the configuration of a public subdir tells of its notices.
            ConfigBroadcast(self.runtime).notify(self.subdir)

    def request_continuation(self) -> None:
        """Request the merge of what is left, under a deduplication id of its own."""
        merge_request.unique_merge_message(
            self.subdir, now_ms=self.runtime.clock(), unique_id=self.runtime.new_id()
        ).send_to(self.runtime.merge_queue)

    def _request_noarch(self) -> None:
        """Have the channel get a ``noarch/repodata.json``, without which it is none (CEP 26)."""
        merge_request.merge_message(
            Subdir(self.subdir.channel, NOARCH),
            now_ms=self.runtime.clock(),
            debounce_seconds=self.runtime.debounce_seconds,
            create=True,
        ).send_to(self.runtime.merge_queue)
