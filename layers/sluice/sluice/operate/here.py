"""Merging in this process, for a channel without a stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sluice import debounce
from sluice.channelwide import request as channel_request
from sluice.channelwide.merging import merge_channel
from sluice.debounce import DEBOUNCE_SECONDS_MIN, MergeRequest
from sluice.errors import Misused
from sluice.keys import REPODATA, Subdir
from sluice.merge import merge
from sluice.merger import Merger
from sluice.operate.channel import Channel
from sluice.operate.subdirs import find_subdirs
from sluice.publish.fence import Stamp
from sluice.publish.publisher import Publisher

_NO_HURRY_MS = 24 * 60 * 60 * 1000
INDEX_MAX_AGE_SECONDS = 60
"""How long clients may keep an index file: what the template has as its default."""


class Errands:
    """What merges ask of others, to be done by whoever merged.  A ``FifoQueue``."""

    def __init__(self) -> None:
        self._bodies: deque[str] = deque()

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """Take a request; the same one that still waits is enough."""
        del group, deduplication_id
        if body not in self._bodies:
            self._bodies.append(body)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Nothing is ever handed out here that could be given back."""
        raise NotImplementedError

    def take(self) -> str | None:
        """The next request, if any is left."""
        return self._bodies.popleft() if self._bodies else None


def merge_here(channel: Channel, subdirs: Iterable[Subdir]) -> None:
    """Merge and publish some subdirs, those that something is staged for, and what that asks for.

    Raises ``Misused`` where nobody can tell under whose name to publish, and what ``merge``
    raises.
    """
    errands = Errands()
    owner = _find_owner(channel)
    merger = Merger(
        channel=channel.public,
        state=channel.state,
        publisher=Publisher(channel.public, channel.state, owner, INDEX_MAX_AGE_SECONDS),
        queue=errands,
        gather=channel.gather,
        clock=channel.clock,
        unique=channel.unique,
        debounce_seconds=DEBOUNCE_SECONDS_MIN,
        defaults=channel.defaults,
    )
    for subdir in sorted({*subdirs, *_with_staging(channel)}):
        merge(merger, MergeRequest(subdir, not_before=0), time_left_ms=lambda: _NO_HURRY_MS)
    while (body := errands.take()) is not None:
        if asked := channel_request.parse(body):
            merge_channel(merger.channelwide, asked.channel)
        else:
            merge(merger, debounce.parse(body), time_left_ms=lambda: _NO_HURRY_MS)


def _with_staging(channel: Channel) -> list[Subdir]:
    return [one for one in find_subdirs(channel) if any(channel.state.list(one.staging))]


def _find_owner(channel: Channel) -> str:
    """Under whose name the channel is published."""
    if channel.owner:
        return channel.owner
    for subdir in find_subdirs(channel):
        info = channel.public.head(subdir.public(REPODATA))
        stamp = Stamp.parse(info.metadata) if info else None
        if stamp and stamp.owner:
            return stamp.owner
    raise Misused(
        f"no index of s3://{channel.bucket}/{channel.name} says who publishes it: "
        "open the channel with its owner"
    )
