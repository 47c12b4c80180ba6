"""The subdirs that sluice knows of a channel."""

from __future__ import annotations

from sluice.admin.session.channel import Channel
from sluice.layout import Subdir, key_after_prefix, parse_state_key, state_prefix


def find_subdirs(channel: Channel) -> list[Subdir]:
    """Those with a head, and those in which something is staged that no merge has taken yet.

    In order.  What lies in the bucket and has reached neither is for reconcile to find.
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
