"""The reconcile handler: a step from its queue, and what happens to one that fails."""

from __future__ import annotations

import pytest

from sluice.errors import UnknownEvent
from sluice.messages.delivery import Delivery
from sluice.reconcile import handler
from sluice.reconcile.context import ReconcileRequest
from sluice.reconcile.metrics import reconcile_log_lines, reconcile_metrics, step_retry_fields
from sluice.reconcile.report import Counts, ReconcileReport, StepReport, SubdirReport
from testkit.system import System

NOW_MS = 1_750_000_000_000
KEYS = ("a/noarch/alpha-1.0-0.conda", "b/noarch/alpha-1.0-0.conda")


def run_of_two_steps() -> tuple[System, str]:
    """A run that stopped after its first subdir, and the message of the step that follows."""
    system = System(NOW_MS)
    system.upload(dict.fromkeys(KEYS, b"corrupt"))
    report = handler.start_run(system.reconciler, ReconcileRequest(), time_left_ms=lambda: 0)
    assert report.finished_at is None
    (message,) = system.steps.messages
    return system, message.body


def test_a_step_goes_on_with_its_run() -> None:
    system, body = run_of_two_steps()
    delivery = Delivery(body, "handle", receive_count=1)
    report = handler.run(delivery, system.reconciler, time_left_ms=lambda: 900_000)
    assert (report.finished_at, report.counts.subdirs) == (NOW_MS, 2)
    assert [tuple(value) for value in reconcile_metrics(report)] == [
        ("ReconcileRepairs", 1, "Count"),
        ("RemovalsWaiting", 0, "Count"),
        ("GarbageCollected", 0, "Count"),
        ("ReconcileFailures", 0, "Count"),
    ]
    (line,) = reconcile_log_lines(report)
    assert (line.level, line.message) == ("info", "reconciled")
    assert (line.fields["step"], line.fields["finished"]) == (2, True)


def test_false_digests_are_counted_and_told_where_there_are_any() -> None:
    counts = Counts(digests_checked=3, digests_false=2)
    found = SubdirReport(
        channel="team", subdir="noarch", counts=counts, examples={"digests_false": ["a", "b"]}
    )
    report = ReconcileReport(run="run", started_at=NOW_MS, request=ReconcileRequest())
    step = StepReport()
    step.add_subdir(found)
    report.add_step(1, step, at=NOW_MS)
    assert ("FalseDigests", 2, "Count") in [tuple(value) for value in reconcile_metrics(report)]
    warning, _ = reconcile_log_lines(report)
    assert (warning.level, warning.fields["files"]) == ("warning", ["a", "b"])


def test_a_step_that_fails_is_given_back_for_longer_each_time() -> None:
    system = System(NOW_MS)
    for receive_count in (1, 2, 5, 99):
        delivery = Delivery("no step", "handle", receive_count)
        with pytest.raises(UnknownEvent):
            handler.run(delivery, system.reconciler, time_left_ms=lambda: 900_000)
    assert [seconds for _, seconds in system.steps.visibility] == [30, 60, 480, 600]
    assert step_retry_fields(delivery) == {"received": 99, "wait_seconds": 600, "step": "no step"}


def test_a_dry_run_counts_failures_alone() -> None:
    system = System(NOW_MS)
    request = ReconcileRequest(dry_run=True)
    report = handler.start_run(system.reconciler, request, time_left_ms=lambda: 900_000)
    assert [value.name for value in reconcile_metrics(report)] == ["ReconcileFailures"]
