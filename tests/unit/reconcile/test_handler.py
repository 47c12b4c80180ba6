"""The reconcile handler: a step from its queue, and what happens to one that fails."""

from __future__ import annotations

import pytest

from sluice.errors import UnknownEvent
from sluice.messages.delivery import Delivery
from sluice.reconcile import handler
from sluice.reconcile.context import ReconcileRequest
from sluice.reconcile.metrics import reconcile_log_lines, reconcile_metrics, step_retry_fields
from sluice.reconcile.report import (
    Counts,
    ReconcileReport,
    StepReport,
    SubdirReport,
    decode_report,
)
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
        ("MisplacedFiles", 0, "Count"),
        ("ReconcileFinished", 1, "Count"),
        ("RepeatedRepairs", 0, "Count"),
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


FINISHED = {"ReconcileFinished", "RepeatedRepairs"}


@pytest.mark.parametrize(
    "request_",
    [
        ReconcileRequest(channel="a"),
        ReconcileRequest(channel=""),
        ReconcileRequest(channel="a", subdir="noarch"),
        ReconcileRequest(dry_run=True),
    ],
)
def test_only_a_run_over_everything_says_that_one_has_finished(request_: ReconcileRequest) -> None:
    system = System(NOW_MS)
    report = handler.start_run(system.reconciler, request_, time_left_ms=lambda: 900_000)
    assert report.finished_at is not None
    assert not FINISHED & {value.name for value in reconcile_metrics(report)}


def test_a_run_has_finished_with_its_last_step_and_not_before() -> None:
    system, body = run_of_two_steps()
    (key,) = system.state.keys("reconciliations/")
    unfinished = decode_report(system.state.body(key), what=key)
    assert not FINISHED & {value.name for value in reconcile_metrics(unfinished)}
    report = handler.run(
        Delivery(body, "handle", 1), system.reconciler, time_left_ms=lambda: 900_000
    )
    assert {value.name for value in reconcile_metrics(report)} > FINISHED


@pytest.mark.parametrize(
    ("before", "counts", "repeated"),
    [
        (0, Counts(missing=3), 0),
        (2, Counts(), 0),
        (2, Counts(missing=3, changed=1, gone=1, behind=1), 6),
        (2, Counts(gone=900, waiting=900), 0),  # which wait, with an alarm of their own
        (2, Counts(gone=900, waiting=905, behind=1), 0),
    ],
)
def test_repairs_are_repeated_where_two_runs_in_a_row_had_some(
    before: int, counts: Counts, repeated: int
) -> None:
    report = ReconcileReport(
        run="r", started_at=NOW_MS, request=ReconcileRequest(), repairs_before=before
    )
    report.add_step(1, StepReport(counts=counts), at=NOW_MS)
    (value,) = (one for one in reconcile_metrics(report) if one.name == "RepeatedRepairs")
    assert value.value == repeated


def test_a_dry_run_counts_failures_alone() -> None:
    system = System(NOW_MS)
    request = ReconcileRequest(dry_run=True)
    report = handler.start_run(system.reconciler, request, time_left_ms=lambda: 900_000)
    assert [value.name for value in reconcile_metrics(report)] == ["ReconcileFailures"]
