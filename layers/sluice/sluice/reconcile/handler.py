"""The handler of the reconcile function: an invocation starts a run, and its queue continues it.

An invocation has no message to return to a queue, so the caller of ``start_once`` gets the error.
"""

from __future__ import annotations

from collections.abc import Callable

from sluice.messages.delivery import Backoff, Delivery, give_back
from sluice.reconcile.context import ReconcileContext
from sluice.reconcile.report import ReconcileReport
from sluice.reconcile.run import parse_reconcile_request, run_step, start_run
from sluice.reconcile.run_claim import start_once

__all__ = ["RETRY", "ReconcileReport", "parse_reconcile_request", "run", "start_once", "start_run"]

RETRY = Backoff(first_seconds=30, factor=2, max_seconds=600)
"""Delays after a failed step."""


def run(
    delivery: Delivery, ctx: ReconcileContext, *, time_left_ms: Callable[[], int]
) -> ReconcileReport:
    """Run the step of a message of ReconcileQueue.

    On failure, returns the message to the queue and raises the error.
    """
    try:
        return run_step(ctx, delivery.body, time_left_ms=time_left_ms)
    except Exception as failure:
        give_back(delivery, ctx.continuations, RETRY, failure=failure)
        raise
