"""The subdirs of a channel that sluice knows."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.admin.session.channel import Channel
from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, Subdir, key_after_prefix, parse_state_key, state_prefix
from sluice.storage.object_store import ObjectInfo


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


def indexes_that_need(channel: Channel, subdir: Subdir) -> Iterator[ObjectInfo]:
    """The indexes of other subdirs without which a subdir's own may be missing.

    Each of a channel needs that of ``noarch`` (CEP 26), and no other.  Looked at one by one.
    """
    if subdir.name != NOARCH:
        return
    for other in find_subdirs(channel):
        info = channel.public.head(other.file_key(REPODATA)) if other != subdir else None
        if info:
            yield info
