"""The reconcile function: a run is started by an invocation and goes on through its queue.

An invocation has no message that could be given back: the caller of ``start_run`` gets the error.
"""

from __future__ import annotations

from collections.abc import Callable

from sluice.messages.delivery import Backoff, Delivery, give_back
from sluice.reconcile.context import ReconcileContext
from sluice.reconcile.report import ReconcileReport
from sluice.reconcile.run import parse_reconcile_request, run_step, start_run

__all__ = ["RETRY", "ReconcileReport", "parse_reconcile_request", "run", "start_run"]

RETRY = Backoff(first_seconds=30, factor=2, max_seconds=600)
"""Of a step that failed."""


def run(
    delivery: Delivery, ctx: ReconcileContext, *, time_left_ms: Callable[[], int]
) -> ReconcileReport:
    """Take the step that a message of ReconcileQueue is about.

    Where that fails, gives the message back and raises the error.
    """
    try:
        return run_step(ctx, delivery.body, time_left_ms=time_left_ms)
    except Exception as failure:
        give_back(delivery, ctx.continuations, RETRY, failure=failure)
        raise
