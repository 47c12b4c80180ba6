"""The further merges that a merge requests."""

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
    """Requests further merges, of a subdir and of what belongs to it."""

    runtime: Runtime
    subdir: Subdir

    def request_after_first_publish(
        self, config: ChannelConfig, *, with_names: bool, is_empty: bool
    ) -> None:
        """Request what follows from a first publication.

        ``with_names``: it has those of an existing index; ``is_empty``: it has no name at all.

        Call this before the head is swapped: if the merge dies right after the swap, no later merge
        sends these requests.
        """
        if self.subdir.name != NOARCH:
            self.request_noarch()
        changes_channel = (with_names or is_empty) and needs_channel_note(
            config, config_changed=False
        )
        if changes_channel or config.notices is not None:
            # Only this merge knows that all of these names are new, or that there is a subdir
            # without any, which channeldata lists as well (CEP 38).  Only a merge that reads the
            # configuration of a public subdir reports its notices.
            ConfigBroadcast(self.runtime).notify(self.subdir)

    def request_noarch(self) -> None:
        """Request a ``noarch/repodata.json``, without which this is not a channel (CEP 26)."""
        merge_request.merge_message(
            Subdir(self.subdir.channel, NOARCH),
            now_ms=self.runtime.clock(),
            debounce_seconds=self.runtime.debounce_seconds,
            create=True,
        ).send_to(self.runtime.merge_queue)

    def request_continuation(self, *, create: bool = False, adopt: bool = False) -> None:
        """Request a merge of the rest, under a deduplication id of its own.

        ``create``, ``adopt``: if that is still to be done.
        """
        merge_request.unique_merge_message(
            self.subdir,
            now_ms=self.runtime.clock(),
            unique_id=self.runtime.new_id(),
            create=create,
            adopt=adopt,
        ).send_to(self.runtime.merge_queue)
