"""The reconcile function: a run is started by an invocation and goes on through its queue.

An invocation (``parse_request``, then ``start``) has no message that could be given back: the
caller gets the error.
"""

from __future__ import annotations

from collections.abc import Callable

from sluice.messages.delivery import Backoff, Delivery, give_back
from sluice.reconcile.context import Reconciler
from sluice.reconcile.report import Report
from sluice.reconcile.run import parse_request, proceed, start

__all__ = ["RETRY", "Report", "parse_request", "run", "start"]

RETRY = Backoff(first_seconds=30, factor=2, max_seconds=600)
"""Of a step that failed."""


def run(delivery: Delivery, ctx: Reconciler, *, time_left_ms: Callable[[], int]) -> Report:
    """Take the step that a message of ReconcileQueue is about.

    Where that fails, gives the message back and raises the error.
    """
    try:
        return proceed(ctx, delivery.body, time_left_ms=time_left_ms)
    except Exception as failure:
        give_back(delivery, ctx.continuations, RETRY, failure=failure)
        raise
