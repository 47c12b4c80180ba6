"""The metrics and log lines of the reconcile function."""

from __future__ import annotations

from typing import Any

import msgspec

from sluice.messages.delivery import Delivery
from sluice.reconcile.handler import RETRY
from sluice.reconcile.report import ReconcileReport, SubdirReport
from sluice.telemetry import LogLine, Metric


def reconcile_metrics(report: ReconcileReport) -> list[Metric]:
    """The metrics of the last step, except ``WrongState``, which merge sends, too."""
    counts = report.last_step[1].counts
    failures = counts.failed + counts.foreign_owner + counts.wrong_state
    repairs = [
        Metric("ReconcileRepairs", counts.repairs),
        Metric("RemovalsWaiting", counts.waiting),
        Metric("GarbageCollected", counts.collected),
        Metric("MisplacedFiles", counts.misplaced),
    ]
    if counts.digests_false:  # hardly ever: a metric without values costs nothing
        repairs.append(Metric("FalseDigests", counts.digests_false))
    dry_run = report.request.dry_run
    return [
        *([] if dry_run else repairs),
        *_finished_metrics(report),
        Metric("ReconcileFailures", failures),
    ]


def _finished_metrics(report: ReconcileReport) -> list[Metric]:
    """What the last step of a run over all channels, as the schedule asks for it, sends besides."""
    request = report.request
    if report.finished_at is None or request.channel is not None or request.dry_run:
        return []
    repeated = report.counts.repaired if report.repairs_before else 0
    return [Metric("ReconcileFinished", 1), Metric("RepeatedRepairs", repeated)]


def reconcile_log_lines(report: ReconcileReport) -> list[LogLine]:
    """The line of the last step, after one for each subdir that failed or has waiting removals."""
    lines = [line for subdir in report.last_step[1].subdirs for line in _complaints(subdir)]
    return [*lines, LogLine("info", "reconciled", _fields(report))]


def step_retry_fields(delivery: Delivery) -> dict[str, int | str]:
    """The fields of the log line about a failed message."""
    count = delivery.receive_count
    return {"received": count, "wait_seconds": RETRY.seconds(count), "step": delivery.body}


def _fields(report: ReconcileReport) -> dict[str, Any]:
    number, step = report.last_step
    return {
        "run": report.run,
        "step": number,
        "finished": step.next is None,
        "request": msgspec.to_builtins(report.request),
        "counts": msgspec.to_builtins(step.counts),
    }


def _complaints(report: SubdirReport) -> list[LogLine]:
    keys = {"channel": report.channel, "subdir": report.subdir}
    lines = []
    if report.failure is not None:
        fields = {**keys, "reason": report.failure}
        lines.append(LogLine("error", "subdir not reconciled", fields))
    if report.counts.digests_false:
        files = {**keys, "files": report.examples["digests_false"]}
        lines.append(LogLine("warning", "digests do not match the metadata", files))
    if report.waiting is not None:
        waiting = {**keys, "waiting": msgspec.to_builtins(report.waiting)}
        lines.append(LogLine("warning", "removals wait", waiting))
    return lines
