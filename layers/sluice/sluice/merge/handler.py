"""The handler of the merge function: merge requests in, a commit and published files out."""

from __future__ import annotations

from collections.abc import Callable

from sluice.channel_files.merge import ChannelReport, merge_channel
from sluice.errors import TooEarly
from sluice.merge.context import MergeContext
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.messages import channel_merge_request, merge_request
from sluice.messages.channel_merge_request import ChannelMergeRequest
from sluice.messages.delivery import Backoff, Delivery, give_back
from sluice.messages.merge_request import MergeRequest

RETRY = Backoff(first_seconds=2, factor=2, max_seconds=300)
"""Delays after a failed merge.  Its FIFO group waits until the message is visible again, which must
not take the whole visibility timeout."""

Request = MergeRequest | ChannelMergeRequest
Report = MergeReport | ChannelReport


def ignore_log_keys(**_keys: str) -> None:
    """Do nothing."""


def run(
    delivery: Delivery,
    ctx: MergeContext,
    *,
    time_left_ms: Callable[[], int],
    add_log_keys: Callable[..., object] = ignore_log_keys,
) -> Report:
    """Handle one message of MergeQueue.

    Returns the message to the queue and raises ``TooEarly`` if its window has not closed, and any
    other error after a failure.  ``add_log_keys`` is called with names and values that describe the
    request, as soon as they are known.
    """
    try:
        request = parse_merge_message(delivery.body)
        add_log_keys(**_log_keys(request))
        _check_window(request, delivery, ctx)
        return carry_out_merge_request(request, ctx, time_left_ms=time_left_ms)
    except TooEarly:
        raise
    except Exception as failure:
        give_back(delivery, ctx.merge_queue, RETRY, failure=failure)
        raise


def parse_merge_message(body: str) -> Request:
    """Parse a message of MergeQueue; raises ``UnknownEvent`` and ``TooNew``."""
    return channel_merge_request.parse_channel_merge_request(
        body
    ) or merge_request.parse_merge_request(body)


def carry_out_merge_request(
    request: Request, ctx: MergeContext, *, time_left_ms: Callable[[], int]
) -> Report:
    """Run the merge of a request at once; raises the errors of the two kinds of merges."""
    if isinstance(request, ChannelMergeRequest):
        return merge_channel(ctx.channel_merge, request.channel)
    return merge(ctx, request, time_left_ms=time_left_ms)


def _log_keys(request: Request) -> dict[str, str]:
    if isinstance(request, ChannelMergeRequest):
        return {"channel": request.channel}
    return {"channel": request.subdir.channel, "subdir": request.subdir.name}


def _check_window(request: Request, delivery: Delivery, ctx: MergeContext) -> None:
    """Return a message to the queue if its window has not closed; raises ``TooEarly``."""
    early_ms = request.not_before - ctx.clock()
    if early_ms > 0:
        ctx.merge_queue.change_visibility(delivery.receipt_handle, -(-early_ms // 1000))
        raise TooEarly(f"{early_ms} ms before the window closes")
