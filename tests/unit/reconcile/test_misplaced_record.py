"""What a run says of misplaced files, and the record that ``status`` reads."""

from __future__ import annotations

import json

import msgspec
import pytest

from sluice.errors import Corrupt, TooNew
from sluice.extract.misplaced import MisplacedTally
from sluice.layout import MISPLACED_RECORD_KEY
from sluice.reconcile.misplaced_record import read_misplaced_record, write_misplaced_record
from sluice.reconcile.report import ReconcileReport, decode_report
from sluice.reconcile.run import ReconcileRequest
from testkit.memory_store import MemoryStore
from tests.support.reconcile_runs import ReconcileRuns
from tests.support.staging_records import SUBDIR, A
from tests.support.subdir_world import World

TYPO = f"{SUBDIR.channel}/linux64/{A}"
ELSEWHERE = f"other/{A}"


def tally(*keys: str) -> MisplacedTally:
    counted = MisplacedTally()
    for key in keys:
        counted.add_key(key)
    return counted


def counts(state: MemoryStore) -> dict[str, int]:
    return {files.channel: files.count for files in read_misplaced_record(state).channels}


@pytest.fixture
def runs() -> ReconcileRuns:
    world = World()
    world.add(A)
    world.merge()
    for key in (TYPO, ELSEWHERE):
        world.channel.upload(key, b"")
    return ReconcileRuns(world)


@pytest.mark.parametrize("steps", [1, 1000])
def test_a_run_counts_misplaced_files_explains_them_and_does_nothing_to_them(
    runs: ReconcileRuns, steps: int
) -> None:
    runs.world.deliver()
    left = iter([900_000] * steps)
    report = runs.run(time_left_ms=lambda: next(left, 0) if steps == 1 else 900_000)
    assert (report.counts.misplaced, report.counts.repairs, report.counts.failed) == (2, 0, 0)
    (typo,), (elsewhere,) = (files.examples for files in report.misplaced)
    assert (typo.key, typo.reason) == (TYPO, "linux64 is not a subdir; did you mean linux-64?")
    assert elsewhere.key == ELSEWHERE
    assert runs.requeued_keys() == []
    assert counts(runs.world.state) == {SUBDIR.channel: 1, "other": 1}


def test_a_dry_run_says_so_and_records_nothing(runs: ReconcileRuns) -> None:
    report = runs.run(ReconcileRequest(dry_run=True))
    assert report.counts.misplaced == 2
    assert counts(runs.world.state) == {}


def test_a_run_over_one_subdir_keeps_what_is_recorded(runs: ReconcileRuns) -> None:
    runs.run()
    request = ReconcileRequest(channel=SUBDIR.channel, subdir=SUBDIR.name)
    assert runs.run(request).counts.misplaced == 0
    assert counts(runs.world.state) == {SUBDIR.channel: 1, "other": 1}


def test_a_run_over_one_channel_replaces_only_what_is_said_of_it(runs: ReconcileRuns) -> None:
    runs.run()
    for key in (TYPO, ELSEWHERE):
        runs.world.channel.remove(key)
    runs.run(ReconcileRequest(channel=SUBDIR.channel))
    assert counts(runs.world.state) == {"other": 1}
    runs.run()
    assert counts(runs.world.state) == {}


def test_an_older_report_is_read_by_this_sluice() -> None:
    report = ReconcileReport(run="r", started_at=1, request=ReconcileRequest())
    old = json.loads(msgspec.json.encode(report))
    del old["misplaced"], old["counts"]["misplaced"]
    assert decode_report(json.dumps(old).encode(), what="r") == report


def test_nothing_is_written_as_long_as_nothing_is_misplaced() -> None:
    state = MemoryStore()
    write_misplaced_record(state, tally(), channel=None, at=1)
    assert state.keys() == []
    write_misplaced_record(state, tally("a/x.conda"), channel=None, at=2)
    write_misplaced_record(state, tally(), channel=None, at=3)
    assert (read_misplaced_record(state).at, counts(state)) == (3, {})


def test_a_damaged_record_is_replaced_and_a_newer_one_is_left_alone() -> None:
    state = MemoryStore()
    state.upload(MISPLACED_RECORD_KEY, b"{")
    with pytest.raises(Corrupt):
        read_misplaced_record(state)
    write_misplaced_record(state, tally("a/x.conda"), channel="b", at=2)
    assert counts(state) == {"a": 1}
    newer = b'{"format": 2}'
    state.upload(MISPLACED_RECORD_KEY, newer)
    with pytest.raises(TooNew):
        read_misplaced_record(state)
    write_misplaced_record(state, tally("a/x.conda"), channel=None, at=2)
    assert state.body(MISPLACED_RECORD_KEY) == newer
