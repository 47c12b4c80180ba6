"""Merges in this process, for a channel without a stack."""

from __future__ import annotations

from collections.abc import Iterable

from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.admin.standalone.compare import unlimited_time_left_ms
from sluice.admin.standalone.in_process_queues import InProcessMergeQueue
from sluice.errors import Misused
from sluice.layout import REPODATA, Subdir
from sluice.limits import INDEX_MAX_AGE_SECONDS
from sluice.merge.context import MergeContext
from sluice.merge.handler import carry_out_merge_request, parse_merge_message
from sluice.merge.merge import merge
from sluice.messages.merge_request import DEBOUNCE_SECONDS_MIN, MergeRequest
from sluice.publish.fence import Stamp
from sluice.publish.publisher import Publisher


def merge_in_process(channel: Channel, subdirs: Iterable[Subdir]) -> None:
    """Merge and publish subdirs: these, those with staging records, and those requested by merges.

    Raises ``Misused`` if the owner of the channel is not known, and the errors of ``merge``.
    """
    requests = InProcessMergeQueue()
    owner = _find_owner(channel)
    merger = MergeContext(
        channel=channel.public,
        state=channel.state,
        bucket=channel.bucket,
        endpoint=channel.endpoint,
        publisher=Publisher(channel.public, channel.state, owner, INDEX_MAX_AGE_SECONDS),
        merge_queue=requests,
        executor=channel.executor,
        clock=channel.clock,
        new_id=channel.new_id,
        debounce_seconds=DEBOUNCE_SECONDS_MIN,
        defaults=channel.defaults,
    )
    for subdir in sorted({*subdirs, *_subdirs_with_staging(channel)}):
        merge(merger, MergeRequest(subdir, not_before=0), time_left_ms=unlimited_time_left_ms)
    for body in requests.drain():
        carry_out_merge_request(
            parse_merge_message(body), merger, time_left_ms=unlimited_time_left_ms
        )


def _subdirs_with_staging(channel: Channel) -> list[Subdir]:
    return [
        subdir for subdir in find_subdirs(channel) if any(channel.state.list(subdir.staging_prefix))
    ]


def _find_owner(channel: Channel) -> str:
    """The owner under which the channel is published."""
    if channel.owner:
        return channel.owner
    for subdir in find_subdirs(channel):
        info = channel.public.head(subdir.file_key(REPODATA))
        stamp = Stamp.parse(info.metadata) if info else None
        if stamp and stamp.owner:
            return stamp.owner
    raise Misused(
        f"no index file of s3://{channel.bucket}/{channel.name} names its owner: open the channel "
        "with an owner"
    )
