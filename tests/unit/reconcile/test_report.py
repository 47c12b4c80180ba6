"""The report of a run: how it adds up, and what of it is worth telling."""

from __future__ import annotations

import msgspec
import pytest

from sluice.errors import Corrupt, TooNew
from sluice.reconcile.context import ReconcileRequest
from sluice.reconcile.cursor import Cursor
from sluice.reconcile.report import (
    Counts,
    ReconcileReport,
    StepReport,
    SubdirReport,
    decode_report,
    encode_report,
)

NUMBERED = Counts(**{name: 2**n for n, name in enumerate(Counts.__struct_fields__)})
"""No two sums of these are equal."""


def report() -> ReconcileReport:
    """A run that has taken no step yet."""
    return ReconcileReport(run="r", started_at=1, request=ReconcileRequest())


def subdir(**counts: int) -> SubdirReport:
    """What is told of a subdir."""
    return SubdirReport(channel="c", subdir="noarch", counts=Counts(**counts))


def test_counts_add_up_each_on_its_own() -> None:
    total = Counts()
    for _ in range(3):
        total.add(NUMBERED)
    assert msgspec.structs.asdict(total) == {
        name: 3 * count for name, count in msgspec.structs.asdict(NUMBERED).items()
    }


def test_repairs_are_what_events_should_not_have_left() -> None:
    one = NUMBERED
    assert one.repairs == one.missing + one.changed + one.gone + one.behind


QUIET = ("subdirs", "objects", "digests_checked")
EVENTFUL = [name for name in Counts.__struct_fields__ if name not in QUIET]


@pytest.mark.parametrize(
    ("one", "eventful"),
    [
        (subdir(), False),
        (subdir(subdirs=1, objects=7, digests_checked=5), False),
        (SubdirReport(channel="c", subdir="noarch", failure="broken"), True),
        *((subdir(**{name: 1}), True) for name in EVENTFUL),
    ],
)
def test_a_subdir_is_told_of_when_anything_was_amiss_or_done(
    one: SubdirReport, *, eventful: bool
) -> None:
    step = StepReport()
    step.add_subdir(one)
    assert step == StepReport(counts=one.counts, subdirs=[one] * eventful)


def test_the_last_step_is_the_one_with_the_highest_number() -> None:
    one = report()
    steps = {number: StepReport(counts=Counts(fed=number), next=Cursor()) for number in (1, 2, 10)}
    for number in (10, 2, 1):
        one.add_step(number, steps[number], at=7)
    assert one.last_step == (10, steps[10])
    assert (one.counts, one.finished_at) == (Counts(fed=13), None)


def test_a_run_is_finished_with_the_step_after_which_there_is_none() -> None:
    one = report()
    one.add_step(1, StepReport(next=Cursor()), at=7)
    one.add_step(2, StepReport(), at=8)
    assert one.finished_at == 8


def test_a_step_that_is_taken_again_counts_once() -> None:
    one = report()
    for _ in range(2):
        one.add_step(1, StepReport(counts=Counts(fed=5)), at=7)
    assert one.counts == Counts(fed=5)


def test_a_report_is_kept_for_people_to_read_and_read_back_whole() -> None:
    one = report()
    one.add_step(1, StepReport(counts=Counts(fed=1), subdirs=[subdir(fed=1)], next=Cursor()), at=7)
    body = encode_report(one)
    assert decode_report(body, what="report") == one
    assert body.decode().splitlines()[:3] == ["{", '  "run": "r",', '  "started_at": 1,']


@pytest.mark.parametrize(
    ("body", "error"), [(b"{}", Corrupt), (b"no report", Corrupt), (b'{"format":2}', TooNew)]
)
def test_a_report_that_cannot_be_read_is_named(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match="this one"):
        decode_report(body, what="this one")
