"""The handler of the merge function: merge requests in, a commit and published files out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice.channel_files.merge import ChannelReport, merge_channel
from sluice.merge.context import MergeContext
from sluice.merge.edges import is_fulfilled, leading_edge
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


@dataclass(frozen=True, slots=True)
class Handled:
    """What came of one receipt of a message."""

    report: Report | None
    """``None``: nothing was merged."""
    is_early: bool = False
    """Whether the message was handed back to the queue until it is due."""


def ignore_log_keys(**_keys: str) -> None:
    """Do nothing."""


def run(
    delivery: Delivery,
    ctx: MergeContext,
    *,
    time_left_ms: Callable[[], int],
    add_log_keys: Callable[..., object] = ignore_log_keys,
) -> Handled:
    """Handle one message of MergeQueue, at one or both edges of its window (``merge.edges``).

    A message that is not due is handed back to the queue, and so is one that failed, before the
    error is raised.  ``add_log_keys`` is called with names and values that describe the request, as
    soon as they are known.
    """
    try:
        request = parse_merge_message(delivery.body)
        add_log_keys(**_log_keys(request))
        if not _is_due(request, ctx):
            report = _merge_early(request, delivery, ctx, time_left_ms=time_left_ms)
            _hand_back(request, delivery, ctx)
            return Handled(report, is_early=True)
        if _is_fulfilled(request, delivery, ctx):
            return Handled(None)
        return Handled(carry_out_merge_request(request, ctx, time_left_ms=time_left_ms))
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


def _is_due(request: Request, ctx: MergeContext) -> bool:
    return ctx.clock() >= request.not_before


def _merge_early(
    request: Request, delivery: Delivery, ctx: MergeContext, *, time_left_ms: Callable[[], int]
) -> MergeReport | None:
    """Merge before the request is due, if the window has a leading edge."""
    if isinstance(request, ChannelMergeRequest):
        return None
    scope = leading_edge(request, delivery, ctx)
    return merge(ctx, request, time_left_ms=time_left_ms, scope=scope) if scope else None


def _hand_back(request: Request, delivery: Delivery, ctx: MergeContext) -> None:
    """Have the queue deliver a message again when it is due."""
    early_ms = max(0, request.not_before - ctx.clock())
    ctx.merge_queue.change_visibility(delivery.receipt_handle, -(-early_ms // 1000))


def _is_fulfilled(request: Request, delivery: Delivery, ctx: MergeContext) -> bool:
    """Whether an earlier receipt of the message, or another merge, has left nothing to do."""
    is_first = delivery.receive_count == 1  # the log is hardly ever empty then
    return not is_first and isinstance(request, MergeRequest) and is_fulfilled(request, ctx)
