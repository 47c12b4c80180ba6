"""The subdirs of a channel that sluice knows."""

from __future__ import annotations

from sluice.admin.session.channel import Channel
from sluice.layout import Subdir, key_after_prefix, parse_state_key, state_prefix


def find_subdirs(channel: Channel) -> list[Subdir]:
    """The subdirs that have a head, or staging records that no merge has handled yet.

    In order.  Reconcile finds subdirs that are in the bucket and have neither.
    """
    heads = channel.state.list(state_prefix("heads", channel.name))
    subdirs = {parse_state_key(info.key) for info in heads}
    after: str | None = None
    while True:
        staged = channel.state.list(state_prefix("staging", channel.name), after=after)
        subdir = next(filter(None, (parse_state_key(info.key) for info in staged)), None)
        if subdir is None:
            return sorted(filter(None, subdirs))
        subdirs.add(subdir)
        after = key_after_prefix(subdir.staging_prefix)
